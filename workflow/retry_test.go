package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"singularity/workflow"
)

var errBusy = errors.New("busy")

func TestRetryNext(t *testing.T) {
	t.Parallel()
	plain := workflow.Retry{Attempts: 4, Delays: []time.Duration{time.Second, time.Minute}, Jitter: [2]float64{-1, -1}}
	tests := []struct {
		name    string
		policy  workflow.Retry
		attempt int
		err     error
		delay   time.Duration
		again   bool
	}{
		{"first delay", plain, 1, errBusy, time.Second, true},
		{"second delay", plain, 2, errBusy, time.Minute, true},
		{"last delay repeats", plain, 3, errBusy, time.Minute, true},
		{"attempts spent", plain, 4, errBusy, 0, false},
		{"attempts long spent", plain, 40, errBusy, 0, false},
		{"one attempt", workflow.Retry{Attempts: 1}, 1, errBusy, 0, false},
		{"defaults of the zero policy", workflow.Retry{Jitter: plain.Jitter}, 4, errBusy, 1000 * time.Second, true},
		{"default attempts", workflow.Retry{Jitter: plain.Jitter}, 5, errBusy, 0, false},
		{"default delays", workflow.Retry{Attempts: 9, Jitter: plain.Jitter}, 2, errBusy, 10 * time.Second, true},
		{"permanent", plain, 1, workflow.Permanent(errBusy), 0, false},
		{"permanent, wrapped", plain, 1, fmt.Errorf("a: %w", fmt.Errorf("b: %w", workflow.Permanent(errBusy))), 0, false},
		{"permanent, joined", plain, 1, errors.Join(errBusy, workflow.Permanent(errBusy)), 0, false},
		{"retry after", plain, 2, workflow.RetryAfter(errBusy, time.Hour), time.Hour, true},
		{"retry after, wrapped", plain, 1, fmt.Errorf("a: %w", errors.Join(errBusy, fmt.Errorf("b: %w", workflow.RetryAfter(errBusy, 0)))), 0, true},
		{"retry after a negative delay", plain, 1, workflow.RetryAfter(errBusy, -time.Second), 0, true},
		{"retry after the last attempt", plain, 4, workflow.RetryAfter(errBusy, time.Hour), 0, false},
		{"the outer retry after", plain, 1, workflow.RetryAfter(workflow.RetryAfter(errBusy, 1), 2), 2, true},
		{"backoff function", workflow.Retry{Attempts: 4, Jitter: plain.Jitter, Backoff: doubling}, 3, errBusy, 8 * time.Second, true},
		{"backoff function with retry after", workflow.Retry{Backoff: doubling}, 1, workflow.RetryAfter(errBusy, time.Hour), time.Hour, true},
		{"backoff function after the last attempt", workflow.Retry{Attempts: 3, Backoff: doubling}, 3, errBusy, 0, false},
		{"backoff function that panics", workflow.Retry{Backoff: func(int, error) time.Duration { panic("no") }}, 1, errBusy, 0, false},
		{"negative backoff", workflow.Retry{Backoff: func(int, error) time.Duration { return -1 }}, 1, errBusy, 0, true},
		{"permanent inside retry after", plain, 1, workflow.RetryAfter(workflow.Permanent(errBusy), 1), 0, false},
		{"retry after inside permanent", plain, 1, workflow.Permanent(workflow.RetryAfter(errBusy, 1)), 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			delay, again := test.policy.Next(test.attempt, test.err, 0.5)
			if delay != test.delay || again != test.again {
				t.Errorf("Next(%d) = %s, %t; want %s, %t", test.attempt, delay, again, test.delay, test.again)
			}
		})
	}
}

func doubling(attempt int, _ error) time.Duration { return time.Second << attempt }

func TestPolicyOfAWorkflowIsForStepsWithoutTheirOwn(t *testing.T) {
	t.Parallel()
	type state struct{}
	nothing := func(context.Context, *state) error { return nil }
	plain := workflow.New("w", workflow.Do("a", nothing), workflow.Do("b", nothing).Retry(workflow.Retry{Attempts: 2}))
	program := workflow.Compile(plain.Retry(workflow.Retry{Attempts: 9}))
	if a, b := program.Steps[0].Retry.Attempts, program.Steps[1].Retry.Attempts; a != 9 || b != 2 {
		t.Errorf("attempts %d and %d, want 9 and 2", a, b)
	}
	if a := workflow.Compile(plain).Steps[0].Retry.Attempts; a != 5 {
		t.Errorf("the workflow itself has changed: %d attempts", a)
	}
}

func TestMarkedErrors(t *testing.T) {
	t.Parallel()
	if delay, ok := workflow.Snoozed(fmt.Errorf("a: %w", workflow.Snooze(time.Hour))); !ok || delay != time.Hour {
		t.Errorf("snoozed for %s, %t; want an hour", delay, ok)
	}
	if delay, ok := workflow.Snoozed(workflow.Snooze(-time.Hour)); !ok || delay != 0 {
		t.Errorf("snoozed for %s, %t; want not at all", delay, ok)
	}
	if _, ok := workflow.Snoozed(errBusy); ok {
		t.Error("any error snoozes")
	}
	if err := workflow.Cancel(errBusy); !workflow.EndsCancelled(fmt.Errorf("a: %w", err)) || !errors.Is(err, errBusy) || err.Error() != "busy" {
		t.Errorf("got %v", err)
	}
	if workflow.Cancel(nil) != nil || workflow.EndsCancelled(errBusy) {
		t.Error("what is no cancellation is taken for one")
	}
}

func TestRetryJitter(t *testing.T) {
	t.Parallel()
	almostOne := math.Nextafter(1, 0)
	tests := []struct {
		name     string
		jitter   [2]float64
		min, max time.Duration // of 100s
	}{
		{"default", [2]float64{}, 110 * time.Second, 120 * time.Second},
		{"from nothing", [2]float64{0, 0.5}, 100 * time.Second, 150 * time.Second},
		{"exact", [2]float64{1, 1}, 200 * time.Second, 200 * time.Second},
		{"none", [2]float64{-1, -1}, 100 * time.Second, 100 * time.Second},
		{"never less than the delay", [2]float64{-0.5, 0.5}, 100 * time.Second, 150 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			policy := workflow.Retry{Delays: []time.Duration{100 * time.Second}, Jitter: test.jitter}
			last := time.Duration(0)
			for _, random := range []float64{0, 0.25, 0.5, 0.75, almostOne} {
				delay, again := policy.Next(1, errBusy, random)
				if !again || delay < test.min || delay > test.max || delay < last {
					t.Errorf("random %v gives %s, want one of %s to %s, not less than the one before", random, delay, test.min, test.max)
				}
				last = delay
			}
			if first, _ := policy.Next(1, errBusy, 0); first != test.min {
				t.Errorf("least delay is %s, want %s", first, test.min)
			}
			if test.max-last > time.Microsecond {
				t.Errorf("greatest delay is %s, want %s", last, test.max)
			}
		})
	}
}

func TestPolicyOfAStepSurvivesBeingSetAgain(t *testing.T) {
	t.Parallel()
	body := func(context.Context, *struct{}) error { return nil }
	step := func(policy workflow.Retry) workflow.Retry {
		return workflow.Compile(workflow.New("w", workflow.Do("a", body).Retry(policy))).Steps[0].Retry
	}
	once := step(workflow.Retry{Attempts: 1, Jitter: [2]float64{-1, -1}})
	again := step(once)
	delay, _ := workflow.Retry{Attempts: 2, Delays: again.Delays, Jitter: again.Jitter}.Next(1, errBusy, 0.5)
	if delay != time.Second {
		t.Errorf("a policy without jitter waits %s after it was set twice, want 1s", delay)
	}
}

func TestMarkedErrorsKeepTheirTextAndCause(t *testing.T) {
	t.Parallel()
	for _, err := range []error{workflow.Permanent(errBusy), workflow.RetryAfter(errBusy, time.Second)} {
		if err.Error() != "busy" || !errors.Is(err, errBusy) {
			t.Errorf("%T reads %q, want the text and the cause that it marks", err, err)
		}
	}
	if workflow.Permanent(nil) != nil || workflow.RetryAfter(nil, time.Second) != nil {
		t.Error("marking nil is an error")
	}
	if workflow.IsPermanent(errBusy) || workflow.IsPermanent(nil) || !workflow.IsPermanent(fmt.Errorf("a: %w", workflow.Permanent(errBusy))) {
		t.Error("IsPermanent does not tell marked errors from others")
	}
}
