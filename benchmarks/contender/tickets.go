package contender

import (
	"context"
	"sync"
)

// Tickets tells who waits for a workflow what it ended with, where the engine
// has no such call: whatever in this process sees the end says so. The zero
// value is ready to use.
type Tickets struct {
	mu      sync.Mutex
	last    int64
	failure error
	waiting map[int64]chan Outcome
}

// Outcome is what a workflow ended with.
type Outcome struct {
	Result State
	Err    error
}

// Open returns a number that the workflow is to carry, and where its outcome
// will arrive.
func (t *Tickets) Open() (int64, <-chan Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == nil {
		t.waiting = map[int64]chan Outcome{}
	}
	t.last++
	outcome := make(chan Outcome, 1)
	if t.failure != nil {
		outcome <- Outcome{Err: t.failure}
	} else {
		t.waiting[t.last] = outcome
	}
	return t.last, outcome
}

// Settle passes an outcome on. One that nobody waits for is dropped: engines
// that run steps at least once may finish twice.
func (t *Tickets) Settle(number int64, outcome Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if waiting := t.waiting[number]; waiting != nil {
		waiting <- outcome
		delete(t.waiting, number)
	}
}

// Fail is the outcome of all workflows under way and of all that come.
func (t *Tickets) Fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failure = err
	for _, waiting := range t.waiting {
		waiting <- Outcome{Err: err}
	}
	clear(t.waiting)
}

// Await waits for an outcome and checks it.
func Await(ctx context.Context, input State, outcome <-chan Outcome) error {
	select {
	case end := <-outcome:
		if end.Err != nil {
			return end.Err
		}
		return input.Finished(end.Result)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
