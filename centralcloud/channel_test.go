package centralcloud_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
)

func TestEachLabelHasADownQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"a":                             "instance_learning_a",
		"node_7":                        "instance_learning_node_7",
		"abcdefghijklmnopqrstuvwxyz_12": "instance_learning_abcdefghijklmnopqrstuvwxyz_12",
	} {
		if got := centralcloud.DownQueue(label); got != want {
			t.Errorf("the queue of %q is %s, want %s", label, got, want)
		}
	}
	seen := map[string]string{}
	for _, label := range []string{
		"host:1", "host:2", "host.1", "host_1", "HOST_1", "Host_1", "", "ä", "ö", "x y", "x-y",
		"abcdefghijklmnopqrstuvwxyz_123", "abcdefghijklmnopqrstuvwxyz_124", strings.Repeat("long", 99),
	} {
		queue := centralcloud.DownQueue(label)
		if err := centralcloud.CheckQueueName(queue); err != nil {
			t.Errorf("the queue of %q: %v", label, err)
		}
		if other, taken := seen[queue]; taken {
			t.Errorf("%q and %q have the same queue %s", label, other, queue)
		}
		seen[queue] = label
	}
}

// callDoc is the record of a call with a model and a class of error.
func callDoc(model, class string) []byte {
	return fmt.Appendf(nil, `{"provider":"p","model":%q,"task_type":"chat","complexity_bucket":2,"attempt":2,"tokens_in":7,"tokens_out":null,
		"cost_nanodollars":40,"latency_us":900,"error_class":%q,"propensity":0.25}`, model, class)
}

func TestCallsAreCountedByHowTheyEnded(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]centralcloud.Counters{
		"": {
			Calls: 1, Judged: 1, Successes: 1, Quality: 1_000_000, Squares: 1_000_000, TokensIn: 7, Cost: 40, Retries: 1,
			InversePropensity: 4_000_000, Latency: centralcloud.SketchOf(900),
		},
		"content": {
			Calls: 1, Judged: 1, TokensIn: 7, Cost: 40, Retries: 1, Errors: map[string]int64{"content": 1},
			InversePropensity: 4_000_000, Latency: centralcloud.SketchOf(900),
		},
		"timeout": {TokensIn: 7, Cost: 40, Retries: 1, Errors: map[string]int64{"timeout": 1}, InversePropensity: 4_000_000},
	} {
		call, err := centralcloud.DecodeCall(callDoc("m", class))
		if err != nil {
			t.Fatal(err)
		}
		if got := call.Counters(nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", class, got, want)
		}
	}
	for _, doc := range []string{`7`, `{}`, `{"model":"m"}`, `{"provider":"p"}`, `{"provider":"p","model":"m","latency_us":"long"}`} {
		if call, err := centralcloud.DecodeCall([]byte(doc)); err == nil {
			t.Errorf("%s is a call: %+v", doc, call)
		}
	}
}

func TestTallyOfTheSameCallsIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	type record struct {
		id  string
		at  time.Time
		doc []byte
	}
	var records []record
	for i := range 500 {
		class := []string{"", "", "timeout"}[i%3]
		records = append(records, record{fmt.Sprint(i), time.Unix(int64(900+i/10), 0), callDoc([]string{"m1", "m2"}[i%2], class)})
	}
	tally := func() *centralcloud.Tally {
		tally := centralcloud.NewTally("a", "boot")
		for _, r := range records {
			tally.Add(centralcloud.Record{ID: r.id, At: r.at, Doc: r.doc})
		}
		return tally
	}
	rows, samples := tally().Changed(nil)
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	again, others := tally().Changed(nil)
	if !reflect.DeepEqual(rows, again) || !reflect.DeepEqual(samples, others) {
		t.Error("another order makes other rows or samples")
	}
	if len(rows) != 4 { // two epochs of two models
		t.Errorf("%d rows, want 4", len(rows))
	}
	var revisions, calls int64
	for _, row := range rows {
		revisions, calls = revisions+row.Revision, calls+row.Calls
	}
	if revisions != 500 || calls != 334 {
		t.Errorf("%d records and %d answers, want 500 and 334", revisions, calls)
	}
	perCell := map[string]int{}
	for _, sample := range samples {
		perCell[fmt.Sprint(sample.Model, centralcloud.EpochOf(sample.At.Unix()), sample.ErrorClass)]++
	}
	for cell, n := range perCell {
		if n > centralcloud.SampleSize {
			t.Errorf("%d samples of %s, want %d at most", n, cell, centralcloud.SampleSize)
		}
	}

	sent := centralcloud.Revisions{}
	sent.Sent(rows[:3])
	if changed, samples := tally().Changed(sent); len(changed) != 1 || !reflect.DeepEqual(changed[0], rows[3]) || len(samples) == 0 {
		t.Errorf("changed %+v, want the one row that was not sent", changed)
	}
	sent.Forget(time.Unix(930, 0))
	if changed, _ := tally().Changed(sent); len(changed) != 3 {
		t.Errorf("%d rows, want the two whose epoch is over, and the one that was not sent", len(changed))
	}
}

func TestTallyTellsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	tally := centralcloud.NewTally("a", "boot")
	tally.Add(centralcloud.Record{ID: "1", At: time.Now(), Doc: []byte(`{}`)})
	tally.Add(centralcloud.Record{ID: "2", At: time.Now(), Doc: []byte(`[`)})
	n, err := tally.Unreadable()
	if rows, _ := tally.Changed(nil); n != 2 || err == nil || len(rows) != 0 {
		t.Errorf("%d unreadable, %v, rows %+v", n, err, rows)
	}
}

func TestUpdatesFitIntoAQueue(t *testing.T) {
	t.Parallel()
	tally := centralcloud.NewTally("a", "boot")
	for i := range 20_000 {
		tally.Add(centralcloud.Record{ID: fmt.Sprint(i), At: time.Unix(int64(i), 0), Doc: callDoc(fmt.Sprint("model", i%10), []string{"", "timeout"}[i%2])})
	}
	rows, samples := tally.Changed(nil)
	var jobs centralcloud.Jobs
	jobs.Add(centralcloud.Job{Success: true, Elapsed: time.Second, Tokens: 9, Model: "m", Patterns: []string{"b", "a"}})
	cents := 3.0
	jobs.Add(centralcloud.Job{CostCents: &cents, Elapsed: 2 * time.Second})
	drafts, err := centralcloud.EncodeUpdates(centralcloud.Instance{ID: "a"}, jobs.Summary(30*time.Second), rows, samples)
	if err != nil || len(drafts) < 2 {
		t.Fatalf("%d messages, %v; want several", len(drafts), err)
	}
	var gotRows []centralcloud.Row
	gotSamples, gotJobs := 0, int64(0)
	for _, draft := range drafts {
		if err := draft.Check(); err != nil {
			t.Fatal(err)
		}
		var update centralcloud.Update
		if err := json.Unmarshal(draft.Body, &update); err != nil {
			t.Fatal(err)
		}
		gotRows = append(gotRows, update.Counters...)
		gotSamples += len(update.Samples)
		gotJobs += update.Count
		if update.ID != "a" || update.PeriodSeconds != 30 {
			t.Errorf("a message is from %q, of %v seconds", update.ID, update.PeriodSeconds)
		}
	}
	if !reflect.DeepEqual(gotRows, rows) || gotSamples != len(samples) || gotJobs != 2 {
		t.Errorf("%d rows, %d samples and %d jobs arrive, want %d, %d and 2", len(gotRows), gotSamples, gotJobs, len(rows), len(samples))
	}
}

func TestUpdateHasTheFieldsThatOperatorsKnow(t *testing.T) {
	t.Parallel()
	var jobs, more centralcloud.Jobs
	cents := 3.0
	jobs.Add(centralcloud.Job{Success: true, Elapsed: time.Second, Tokens: 9, Model: "m", Patterns: []string{"b", "a"}})
	more.Add(centralcloud.Job{CostCents: &cents, Elapsed: 2 * time.Second, Model: "m"})
	jobs.Merge(more)
	from := centralcloud.Instance{ID: "a", Boot: "b", Timestamp: time.Unix(0, 0).UTC()}
	drafts, err := centralcloud.EncodeUpdates(from, jobs.Summary(30*time.Second), nil, nil)
	if err != nil || len(drafts) != 1 {
		t.Fatalf("%d messages, %v; want one", len(drafts), err)
	}
	const want = `{"type":"results","instance_id":"a","boot_id":"b","timestamp":"1970-01-01T00:00:00Z","period_seconds":30,"job_count":2,` +
		`"success_rate":0.5,"avg_cost_cents":3,"avg_latency_ms":1500,"models_used":[{"model":"m","count":2}],` +
		`"patterns_discovered":["a","b"],"total_tokens":9,"counters":[],"samples":[]}`
	if got := string(drafts[0].Body); got != want {
		t.Errorf("update\n%s\nwant\n%s", got, want)
	}
	var none centralcloud.Jobs
	if drafts, err := centralcloud.EncodeUpdates(from, none.Summary(0), nil, nil); err != nil || len(drafts) != 0 {
		t.Errorf("%d messages, %v, with nothing to say", len(drafts), err)
	}
}

func TestLessonsDoNotChangeWhatOthersHold(t *testing.T) {
	t.Parallel()
	teach := func(l *centralcloud.Learned, body string) *centralcloud.Learned {
		t.Helper()
		lessons, err := centralcloud.DecodeLearning([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		next, err := l.With(lessons)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	nothing := &centralcloud.Learned{}
	one := teach(nothing, `{"type":"pattern_discovery","version":2,"pattern_name":"a","pattern_definition":1}`)
	two := teach(one, `{"type":"pattern_discovery","version":3,"pattern_name":"b","pattern_definition":2}`)
	old := teach(two, `{"type":"pattern_discovery","version":1,"pattern_name":"a","pattern_definition":3}`)
	if len(nothing.Patterns) != 0 || len(one.Patterns) != 1 || len(two.Patterns) != 2 || string(old.Patterns["a"]) != "1" {
		t.Errorf("patterns %v, %v, %v, %v", nothing.Patterns, one.Patterns, two.Patterns, old.Patterns)
	}
	if versions := two.Versions(); !reflect.DeepEqual(versions, map[string]int64{"pattern_discovery": 3}) {
		t.Errorf("versions %v", versions)
	}
	taught := teach(two, `{"type":"model_routing","version":4,"routing_rules":{"version":4,"rows":[]}}`)
	if again := teach(taught, `{"type":"model_routing","version":4,"routing_rules":{"version":4,"rows":[]}}`); taught.Policy.Received.IsZero() || again.Policy != taught.Policy {
		t.Errorf("policies %+v, %+v; want the same one, since when it is known", taught.Policy, again.Policy)
	}
	// Another pattern that was late is news, whatever the version of the others.
	lessons, _ := centralcloud.DecodeLearning([]byte(`{"type":"pattern_discovery","version":1,"pattern_name":"c","pattern_definition":3}`))
	if news := two.News(lessons); !slices.EqualFunc(news, lessons, func(a, b centralcloud.Lesson) bool { return a.Name == b.Name }) {
		t.Errorf("news %v", news)
	}
}

func FuzzDecodeLearning(f *testing.F) {
	f.Add([]byte(`{"type":"model_routing","version":3,"routing_rules":{"rows":[{"arms":[{"model":"m","weight":1}]}]}}`))
	f.Add([]byte(`{"type":"snapshot","learnings":[{"type":"pattern_discovery","pattern_name":"a","pattern_definition":null},{"type":"x"}]}`))
	f.Add([]byte(`{"type":"cost_optimization","settings":{"a":1},"estimated_savings":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		lessons, err := centralcloud.DecodeLearning(body)
		if err != nil {
			return
		}
		learned, err := (&centralcloud.Learned{}).With(lessons)
		if err != nil {
			t.Fatalf("what can be read cannot be learnt: %v", err)
		}
		for _, lesson := range lessons {
			if len(learned.News([]centralcloud.Lesson{lesson})) > 0 && lesson.Version != 0 {
				t.Fatalf("%+v is news after it was learnt", lesson)
			}
		}
	})
}
