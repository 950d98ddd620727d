package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"singularity/server/servertest"
	"singularity/workflow"
)

func failedRuns(n int) *servertest.Engine {
	engine := &servertest.Engine{}
	for i := range n {
		engine.Put(workflow.Run{ID: workflow.RunID{2, byte(i >> 8), byte(i)}, Workflow: "greet", State: workflow.Failed})
	}
	return engine
}

func TestManyRunsAreOnlyChangedWhenSaidSo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		runs    int
		flags   string
		code    int
		changed int32
	}{
		{1000, "", exitDone, 1000},
		{1001, "", exitUsage, 0},
		{2500, "--yes", exitDone, 2500},
		{2500, "--limit 1500", exitDone, 1500},
		{2500, "--limit 3", exitDone, 3},
		{2500, "--dry-run", exitDone, 0},
	} {
		engine := failedRuns(test.runs)
		args := append(strings.Fields("run retry --state failed -o json"), strings.Fields(test.flags)...)
		got := at(serve(t, engine), args...).run(t.Context())
		var result changed
		_ = json.Unmarshal([]byte(got.stdout), &result)
		if got.code != test.code || result.Changed != test.changed {
			t.Errorf("%d runs %s: got %+v, want exit code %d and %d changed", test.runs, test.flags, got, test.code, test.changed)
		}
		if test.flags == "--dry-run" && result.Matched != int32(test.runs) {
			t.Errorf("counted %d runs, want %d", result.Matched, test.runs)
		}
		if test.code == exitUsage && !strings.Contains(got.stderr, "--yes") {
			t.Errorf("stderr %q does not say what to do", got.stderr)
		}
	}
}

func TestRunsThatAreRefusedAreListed(t *testing.T) {
	t.Parallel()
	engine := failedRuns(2)
	id := workflow.RunID{3}
	engine.Put(workflow.Run{ID: id, Workflow: "greet", Key: "ada", State: workflow.Failed})
	got := at(serve(t, engine), "run", "retry", "--workflow", "greet", "-o", "json").run(t.Context())
	var result changed
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		t.Fatal(err)
	}
	if got.code != exitRefused || result.Matched != 3 || result.Changed != 2 || len(result.Refused) != 1 || result.Refused[0].Run != id.String() {
		t.Errorf("got %+v, %+v, want run %s refused", got, result, id)
	}
}

func TestUniqueStartsAskForWhatTheFlagsSay(t *testing.T) {
	t.Parallel()
	engine := engineWithAll()
	got := at(serve(t, engine), strings.Fields(`run start greet --input {"name":"Bob"} --unique workflow,input --unique-for 1h --on-conflict replace`)...).run(t.Context())
	want := workflow.Unique{By: workflow.ByWorkflow | workflow.ByInput, Within: time.Hour, OnConflict: workflow.Replace}
	if starts := engine.Starts(); got.code != exitDone || len(starts) != 1 || starts[0].Unique != want {
		t.Errorf("got %+v, asked for %+v, want %+v", got, starts, want)
	}
}

func TestTimesOfRunsMayBeAges(t *testing.T) {
	t.Parallel()
	ago, err := pastTime("created-after", "90m")
	if age := time.Since(ago.AsTime()); err != nil || age < 90*time.Minute || age > 91*time.Minute {
		t.Errorf("90m ago is %s, %v", ago.AsTime(), err)
	}
	at, err := pastTime("created-after", "2026-03-01T10:00:00+01:00")
	if err != nil || !at.AsTime().Equal(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("a time became %s, %v", at.AsTime(), err)
	}
}
