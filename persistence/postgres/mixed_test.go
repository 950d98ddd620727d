package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestBatchOfAllKindsIsAnsweredAsInMemory(t *testing.T) {
	t.Parallel()
	stores := []persistence.Store{memory.New(), open(t)}
	play := newPlay()
	var runs [][]string
	for _, store := range stores {
		runs = append(runs, play.perform(t, store))
	}
	if len(runs[0]) != len(runs[1]) {
		t.Fatalf("%d answers in memory, %d in Postgres", len(runs[0]), len(runs[1]))
	}
	for i := range runs[0] {
		if runs[0][i] != runs[1][i] {
			t.Errorf("answer %d: %s, in memory %s", i, runs[1][i], runs[0][i])
		}
	}
}

// play is a series of batches, of which those in the middle have 250 writes of
// all kinds.
type play struct {
	boot    persistence.BootID
	inserts []persistence.Insert
}

func newPlay() *play {
	p := &play{boot: persistence.BootID(workflow.NewRunID().String())}
	for i := range 250 {
		insert := draft()
		insert.Priority = i % 10
		switch i % 5 {
		case 0, 1, 2:
			insert.Owner = p.boot
		case 3:
			insert.Key = fmt.Sprint("k", i)
			insert.Due = time.Unix(1e9, 0).Add(time.Duration(i) * time.Second)
		case 4: // each makes way for the next of the same key
			insert.Unique = &persistence.Unique{Key: [32]byte{byte(i % 10), byte(i / 50)}, By: workflow.ByQueue, OnConflict: workflow.Replace}
		}
		p.inserts = append(p.inserts, insert)
	}
	return p
}

// perform returns what a store answered, and how the runs are in the end.
func (p *play) perform(t *testing.T, store persistence.Store) (answers []string) {
	t.Helper()
	if err := store.Join(t.Context(), persistence.Boot{ID: p.boot, Instance: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.RegisterAgent(t.Context(), persistence.Agent{Name: "desk", Kind: persistence.AgentBuiltIn, Boot: p.boot}, false); err != nil {
		t.Fatal(err)
	}
	for _, batch := range p.batches() {
		verdicts, err := store.Commit(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, verdict := range verdicts {
			answers = append(answers, fmt.Sprintf("%T: %s", batch[i], describe(verdict)))
		}
	}
	for _, insert := range p.inserts {
		run, err := store.Run(t.Context(), insert.Run)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := store.Steps(t.Context(), insert.Run)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, describeRun(run))
		for _, step := range steps {
			answers = append(answers, fmt.Sprint(step.Seq, step.Step, step.Outcome, step.Epoch, step.Owner, string(step.State), step.Error, len(step.Facts)))
		}
	}
	messages, err := store.Inbox(t.Context(), "desk", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		answers = append(answers, m.MessageID)
	}
	return answers
}

func (p *play) batches() [][]persistence.Write {
	var insert, first, second []persistence.Write
	claim := persistence.Claim{
		ID: "first", Boot: p.boot, Queue: "default", Limit: 20, Known: []persistence.Definition{{Workflow: "order", Version: 1}},
	}
	for i, w := range p.inserts {
		insert = append(insert, w)
		first = append(first, p.change(i, w, 0))
		if i%5 < 3 {
			second = append(second, p.change(i/3, w, 1))
		}
	}
	first = slices.Concat(first, []persistence.Write{claim})
	again := claim
	again.ID = "second"
	second = slices.Concat(second, []persistence.Write{
		again,
		persistence.Post{Message: workflow.Message{Agent: "desk", ID: "posted", Payload: []byte(`{}`)}},
		persistence.Post{Message: workflow.Message{Agent: "nobody", ID: "posted", Payload: []byte(`{}`)}},
		persistence.Acknowledge{Agent: "desk", Epoch: 1, MessageID: "m8"},
		persistence.Acknowledge{Agent: "desk", Epoch: 7, MessageID: "m16"},
	})
	return [][]persistence.Write{insert, first, second, first[:len(first)-1], {claim}}
}

// change is a write to one of the runs, in every way in turn.
func (p *play) change(i int, of persistence.Insert, seq int64) persistence.Write {
	fence := persistence.Fence{Run: of.Run, Boot: p.boot, Epoch: 1, Seq: seq}
	w := advance(fence)
	w.Entry.StartedAt, w.Entry.FinishedAt = time.Unix(1e9, 0), time.Unix(1e9, 0)
	switch {
	case of.Owner == "" && i%2 == 0:
		return persistence.Cancel{Run: of.Run, Reason: "no longer needed"}
	case of.Owner == "":
		return persistence.Retry{Run: of.Run}
	}
	switch i % 16 {
	case 0:
		w.Entry.Messages = []workflow.Message{{Agent: "desk", ID: fmt.Sprint("m", i), Payload: []byte(`{}`)}}
	case 1:
		w.Entry.Facts = []workflow.Fact{{Kind: "cost", Doc: []byte(`1`)}, {Kind: "cost", Doc: []byte(`2`)}}
	case 2:
		w.State, w.Entry.Output, w.Summary = workflow.Completed, []byte(`{}`), &workflow.Summary{Model: "m"}
	case 3:
		w.State, w.Error, w.Entry.Outcome, w.Entry.Error = workflow.Failed, "out of tea", workflow.StepFailed, "out of tea"
	case 4:
		w.State = workflow.Available
	case 5:
		w.State, w.Delay, w.Attempt = workflow.Retryable, time.Hour, 1
	case 6:
		w.State, w.Reason = workflow.Waiting, "signal paid"
	case 7:
		w.State, w.Entry = workflow.Available, nil
	case 8:
		w.Epoch++
	case 9:
		w.Seq++
	case 10:
		w.Boot = "another"
	case 11:
		return persistence.Reactivate{Run: of.Run, Boot: p.boot}
	case 12:
		return persistence.Reactivate{Run: of.Run, Boot: "another"}
	case 13:
		return persistence.Cancel{Run: of.Run}
	case 14:
		return persistence.Retry{Run: of.Run}
	}
	return w
}

func describe(verdict persistence.Verdict) string {
	text := fmt.Sprint(verdict.Err, verdict.Owned)
	if verdict.Existing != nil {
		text += " existing " + describeRun(*verdict.Existing)
	}
	if verdict.Changed != nil {
		text += " changed " + describeRun(*verdict.Changed)
	}
	for _, activation := range verdict.Activations {
		text += fmt.Sprint(" activated ", describeRun(activation.Run), activation.Seq, string(activation.State))
	}
	return text
}

func describeRun(run workflow.Run) string {
	return fmt.Sprint(run.ID, run.State, run.Step, run.Attempt, run.Epoch, run.Owner, run.Error, run.Reason, string(run.Input), string(run.Output))
}
