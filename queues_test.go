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
}

// runs are when runs began and ended so far.
func (s *shift) runs() (began, ended []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.began), slices.Clone(s.ended)
}

// flow is a workflow whose runs last for a while.
func (s *shift) flow(lasts time.Duration) *workflow.Workflow[tally, tally] {
	return workflow.New("shift", workflow.Do("work", func(context.Context, *tally) error {
		s.mu.Lock()
		s.inside++
		s.most = max(s.most, s.inside)
		s.began = append(s.began, time.Now())
		s.mu.Unlock()
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
	work := &shift{}
	flow := work.flow(0)
	a, b := openPair(t, flow)
	// At the next renewal each would take up to a second, and not five of them less
	// than half of one.
	within(t, 500*time.Millisecond, func() (slowest time.Duration) {
		for range 5 {
			pause, resumption := pauseAndResume(t, work, flow, a, b)
			slowest = max(slowest, pause, resumption)
		}
		return slowest
	})
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
	before, _ := work.runs()
	if _, _, err := a.ResumeQueue(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	wait(t, b, run)
	resumption = time.Since(resumed)
	if after, _ := work.runs(); len(after) != len(before)+1 {
		t.Errorf("%d runs began after the queue was resumed, want the one that waited", len(after)-len(before))
	}
	return pause, resumption
}

func TestQueueWithLimitOneGoesOnWithinMillisecondsOnTwoEngines(t *testing.T) {
	t.Parallel()
	work := &shift{}
	flow := work.flow(20 * time.Millisecond)
	cfg := singularity.Config{DatabaseURL: testpostgres.URL(t), Instance: "a"}
	engines := []*singularity.Engine{open(t, cfg, flow)}
	if _, err := engines[0].SetQueue(t.Context(), "default", workflow.QueueChange{GlobalLimit: new(1)}); err != nil {
		t.Fatal(err)
	}
	cfg.Instance = "b" // knows of the limit from its start
	engines = append(engines, open(t, cfg, flow))
	// Looks from time to time would take half a second.
	within(t, 300*time.Millisecond, func() time.Duration { return medianGap(t, work, flow, engines) })
	if work.most != 1 {
		t.Errorf("%d at once, want 1", work.most)
	}
}

// medianGap starts runs on the engines, in turn, and returns how long after the
// end of one the next began, at the median.
func medianGap(t *testing.T, work *shift, flow *workflow.Workflow[tally, tally], engines []*singularity.Engine) time.Duration {
	t.Helper()
	const runs = 40
	before, _ := work.runs()
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
	began, ended := work.runs()
	var gaps []time.Duration
	for i := len(before) + 1; i < len(began); i++ {
		gaps = append(gaps, began[i].Sub(ended[i-1]))
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}
