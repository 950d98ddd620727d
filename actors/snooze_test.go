package actors

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"singularity/persistence/memory"
	"singularity/workflow"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestSnoozedStepRunsAgainAndItsAttemptsDoNotCount(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{time.Second, time.Minute} {
		for _, level := range levels {
			t.Run(string(level)+" "+delay.String(), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					var tries atomic.Int32
					polling := workflow.New("polling", add("one"), workflow.Do("two", func(_ context.Context, s *count) error {
						s.N++ // leaves no trace
						if tries.Add(1) < 10 {
							return workflow.Snooze(delay)
						}
						s.Trail = append(s.Trail, "two")
						return nil
					}).Retry(workflow.Retry{Attempts: 1})).Durability(level)
					node := startNode(t, memory.New(), Config{}, polling)
					began := time.Now()
					run := start(t, node, polling)
					if level != workflow.Ephemeral && delay >= longBackoff {
						time.Sleep(delay / 2)
						wantState(t, node, run.ID(), workflow.Retryable)
						if inMemory(node, run.ID()) {
							t.Error("the run is in memory")
						}
					}
					if out := finish(t, run); out.N != 2 || len(out.Trail) != 2 {
						t.Errorf("got %+v, want each step once", out)
					}
					if took := time.Since(began); took < 9*delay || took > 9*delay+5*time.Second {
						t.Errorf("it took %s, want %s", took, 9*delay)
					}
					if level == workflow.Checkpointed {
						if lines := history(t, node, run.ID()); len(lines) != 2 {
							t.Errorf("history %v, want the two steps", lines)
						}
					}
				})
			})
		}
	}
}

func TestSnoozeIsToldToWatchers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		var tries atomic.Int32
		polling := workflow.New("polling", hold.step(), workflow.Do("poll", func(context.Context, *count) error {
			if tries.Add(1) == 1 {
				return workflow.Snooze(time.Minute)
			}
			return nil
		}))
		node := startNode(t, memory.New(), Config{}, polling)
		run := start(t, node, polling)
		events, err := node.Watch(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		hold.open()
		finish(t, run)
		var snoozed []workflow.Event
		for event := range events {
			if event.Kind == workflow.StepSnoozed {
				snoozed = append(snoozed, event)
			}
		}
		if len(snoozed) != 1 || snoozed[0].Step != "poll" || snoozed[0].Retry != time.Minute {
			t.Errorf("events %+v, want one of poll, again in a minute", snoozed)
		}
	})
}

func TestStepMayCancelItsRun(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				stopping := workflow.New("stopping", add("one"), failing(workflow.Cancel(errors.New("nobody wants it")))).Durability(level)
				node := startNode(t, memory.New(), Config{}, stopping)
				run := start(t, node, stopping)
				ended := fails(t, run)
				if ended.State != workflow.Cancelled || ended.Reason != "nobody wants it" {
					t.Errorf("the run has %s: %s", ended.State, ended.Reason)
				}
			})
		})
	}
}

func TestBackoffFunctionSetsTheDelays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		squares := workflow.Retry{
			Attempts: 4, Jitter: [2]float64{-1, -1},
			Backoff: func(attempt int, _ error) time.Duration { return time.Duration(attempt*attempt) * time.Second },
		}
		busy := workflow.New("busy", failing(errors.New("busy"))).Retry(squares)
		node := startNode(t, memory.New(), Config{}, busy)
		began := time.Now()
		fails(t, start(t, node, busy))
		if took := time.Since(began); took < 14*time.Second || took > 15*time.Second {
			t.Errorf("it took %s, want 1 + 4 + 9 seconds", took)
		}
	})
}
