package singularity_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/workflow"
)

// shift is what runs of a limited queue note.
type shift struct {
	mu           sync.Mutex
	inside, most int
	began, ended []time.Time
	begin        chan struct{} // gets one for each, while there is room
}

func newShift() *shift { return &shift{begin: make(chan struct{}, 1000)} }

// flow is a workflow whose runs last for a while.
func (s *shift) flow(lasts time.Duration) *workflow.Workflow[tally, tally] {
	return workflow.New("shift", workflow.Do("work", func(context.Context, *tally) error {
		s.mu.Lock()
		s.inside++
		s.most = max(s.most, s.inside)
		s.began = append(s.began, time.Now())
		s.mu.Unlock()
		s.begin <- struct{}{}
		<-time.After(lasts)
		s.mu.Lock()
		s.inside--
		s.ended = append(s.ended, time.Now())
		s.mu.Unlock()
		return nil
	}))
}

// openPair opens two engines on one database.
func openPair(t *testing.T, definitions ...workflow.Definition) (a, b *singularity.Engine) {
	t.Helper()
	cfg := singularity.Config{DatabaseURL: testpostgres.URL(t), Instance: "a"}
	a = open(t, cfg, definitions...)
	cfg.Instance = "b"
	return a, open(t, cfg, definitions...)
}

func TestPauseReachesAnotherEngineAtOnce(t *testing.T) {
	t.Parallel()
	work := newShift()
	flow := work.flow(0)
	a, b := openPair(t, flow)
	var pauses, resumptions []time.Duration
	for range 5 {
		paused, resumed := pauseAndResume(t, work, flow, a, b)
		pauses, resumptions = append(pauses, paused), append(resumptions, resumed)
	}
	// At the next renewal it would take a second, now and then; the machine may be
	// busy with more.
	slices.Sort(pauses)
	slices.Sort(resumptions)
	if pauses[0] > 500*time.Millisecond || resumptions[0] > 500*time.Millisecond {
		t.Errorf("the other engine began runs %s after the pauses, and %s after the queue was resumed; want 500ms at most, once", pauses, resumptions)
	}
}

// pauseAndResume returns how long after a pause in one engine the other began
// runs, and how long after the end of the pause the run ended that had waited.
func pauseAndResume(t *testing.T, work *shift, flow *workflow.Workflow[tally, tally], a, b *singularity.Engine) (pause, resumption time.Duration) {
	t.Helper()
	if _, changed, err := a.PauseQueue(t.Context(), "default"); err != nil || !changed {
		t.Fatalf("pause: %t, %v", changed, err)
	}
	paused := time.Now()
	// A run that begins before b has heard of the pause is not at fault.
	var run *workflow.Handle[tally]
	for began := true; began; {
		var err error
		if run, err = flow.Start(t.Context(), b, tally{}); err != nil {
			t.Fatal(err)
		}
		row, err := b.Run(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if began = row.State != workflow.Available; began {
			wait(t, b, run) // its body may be about to begin
		}
	}
	pause = time.Since(paused)
	before := len(work.begin)
	if _, _, err := a.ResumeQueue(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	wait(t, b, run)
	resumption = time.Since(resumed)
	if began := len(work.begin) - before; began != 1 {
		t.Errorf("%d runs began after the queue was resumed, want the one that waited", began)
	}
	return pause, resumption
}

func TestQueueWithLimitOneGoesOnWithinMillisecondsOnTwoEngines(t *testing.T) {
	t.Parallel()
	work := newShift()
	flow := work.flow(20 * time.Millisecond)
	cfg := singularity.Config{DatabaseURL: testpostgres.URL(t), Instance: "a"}
	engines := []*singularity.Engine{open(t, cfg, flow)}
	if _, err := engines[0].SetQueue(t.Context(), "default", workflow.QueueChange{GlobalLimit: new(1)}); err != nil {
		t.Fatal(err)
	}
	cfg.Instance = "b" // knows of the limit from its start
	engines = append(engines, open(t, cfg, flow))
	const runs = 40
	var handles []*workflow.Handle[tally]
	for i := range runs {
		run, err := flow.Start(t.Context(), engines[i%2], tally{})
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, run)
	}
	for i, run := range handles {
		wait(t, engines[i%2], run)
	}
	var gaps []time.Duration
	for i := 1; i < runs; i++ {
		gaps = append(gaps, work.began[i].Sub(work.ended[i-1]))
	}
	slices.Sort(gaps)
	// Milliseconds, on a machine that is busy with more; looks from time to time
	// would take half a second.
	if median := gaps[len(gaps)/2]; work.most != 1 || median > 300*time.Millisecond {
		t.Errorf("%d at once, and half of the runs began more than %s after the last one's end; want 1, and 300ms at most", work.most, median)
	}
}
