package actors

import (
	"context"
	"errors"
	"testing"
	"time"

	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestRunThatHasNotEndedByItsDeadlineFails(t *testing.T) {
	t.Parallel()
	const deadline = time.Minute
	busy := errors.New("busy")
	tests := []struct {
		name string
		step func(*gate) workflow.Step[count]
	}{
		{"in a step", func(g *gate) workflow.Step[count] { return g.step().Timeout(time.Hour) }},
		{"in a short backoff", func(*gate) workflow.Step[count] {
			return failing(busy).Retry(workflow.Retry{Attempts: 1000, Delays: []time.Duration{4 * time.Second}})
		}},
		{"in a long backoff", func(*gate) workflow.Step[count] {
			return failing(busy).Retry(workflow.Retry{Delays: []time.Duration{time.Hour}})
		}},
		{"in a short snooze", func(*gate) workflow.Step[count] { return failing(workflow.Snooze(7 * time.Second / 2)) }},
		{"in a long snooze", func(*gate) workflow.Step[count] { return failing(workflow.Snooze(time.Hour)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				endless := workflow.New("endless", add("one"), test.step(newGate(t, "two"))).Deadline(deadline)
				node := startNode(t, memory.New(), Config{}, endless)
				began := time.Now()
				run := start(t, node, endless)
				ended := fails(t, run)
				if ended.State != workflow.Failed || !contains(ended.Reason, workflow.ErrOverdue.Error()) {
					t.Errorf("the run has %s: %s", ended.State, ended.Reason)
				}
				if took := time.Since(began); took < deadline || took > deadline+2*time.Second {
					t.Errorf("it ended after %s, want %s", took, deadline)
				}
			})
		})
	}
}

func failing(err error) workflow.Step[count] {
	return workflow.Do("two", func(context.Context, *count) error { return err })
}

func TestRunThatWaitedBeyondItsDeadlineBeginsNoStep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		held := workflow.New("held", hold.step().Timeout(time.Hour))
		counting := workflow.New("counting", add("one"))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1}}, held, counting)
		first := start(t, node, held)
		run := startWith(t, node, counting, workflow.Options{Deadline: time.Minute})
		inTime := startWith(t, node, counting, workflow.Options{Deadline: time.Hour})
		time.Sleep(2 * time.Minute)
		wantState(t, node, run.ID(), workflow.Failed)
		hold.open()
		finish(t, first)
		fails(t, run)
		if lines := history(t, node, run.ID()); len(lines) != 0 {
			t.Errorf("history %v, want none", lines)
		}
		finish(t, inTime)
	})
}

func TestDeadlineOutlastsItsProcess(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		hold := newGate(t, "hold")
		held := workflow.New("held", hold.step().Timeout(time.Hour))
		first := startNode(t, store, Config{}, held)
		began := time.Now()
		run := startWith(t, first, held, workflow.Options{Deadline: time.Minute})
		time.Sleep(30 * time.Second)
		stopNode(t, first)

		second := startNode(t, store, Config{}, held)
		handle, err := held.Handle(t.Context(), second, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		fails(t, handle)
		if took := time.Since(began); took < time.Minute || took > time.Minute+2*time.Second {
			t.Errorf("it ended after %s, want a minute after its start", took)
		}
	})
}

func TestRetriedRunHasNoDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		held := workflow.New("held", hold.step().Timeout(time.Hour)).Deadline(time.Second)
		node := startNode(t, memory.New(), Config{}, held)
		run := start(t, node, held)
		fails(t, run)
		if _, err := node.Retry(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		hold.open()
		again, err := held.Handle(t.Context(), node, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		finish(t, again)
	})
}
