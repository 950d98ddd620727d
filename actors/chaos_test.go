package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// chaosStore delays commits, fails them before or after they were applied, and
// sometimes panics. It notes what landed.
type chaosStore struct {
	*memory.Store
	t *testing.T

	mu       sync.Mutex
	random   *rand.Rand
	healed   bool
	panics   int                      // that are left
	finished map[string]bool          // run and step of each checkpoint that landed
	writers  map[landedSeq]int64      // which epoch wrote a sequence number
	epochs   map[workflow.RunID]int64 // the newest that wrote
}

type landedSeq struct {
	run workflow.RunID
	seq int64
}

func newChaosStore(t *testing.T, seed uint64) *chaosStore {
	return &chaosStore{
		Store: memory.New(), t: t, random: rand.New(rand.NewPCG(seed, 2)), panics: 3,
		finished: map[string]bool{}, writers: map[landedSeq]int64{}, epochs: map[workflow.RunID]int64{},
	}
}

func (s *chaosStore) roll(below int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.healed {
		return below
	}
	return s.random.IntN(below)
}

func (s *chaosStore) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healed = true
}

func (s *chaosStore) hasFinished(attempt *workflow.Attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished[attempt.Run.String()+attempt.Step]
}

func (s *chaosStore) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	time.Sleep(time.Duration(s.roll(50)) * time.Millisecond)
	fault := s.roll(100)
	switch {
	case fault < 5:
		return nil, errDown
	case fault < 8:
		return nil, fmt.Errorf("%w: the connection broke", workflow.ErrOutcomeUnknown)
	}
	verdicts, err := s.Store.Commit(ctx, batch)
	if err == nil {
		s.note(batch, verdicts)
	}
	switch {
	case fault < 11:
		return nil, fmt.Errorf("%w: the connection broke", workflow.ErrOutcomeUnknown)
	case fault == 11 && s.mayPanic():
		panic("the driver is haunted")
	}
	return verdicts, err
}

func (s *chaosStore) mayPanic() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panics--
	return s.panics >= 0
}

// note checks that no stale write landed, and keeps what did.
func (s *chaosStore) note(batch []persistence.Write, verdicts []persistence.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, write := range batch {
		w, is := write.(persistence.Advance)
		if !is || verdicts[i].Err != nil {
			continue
		}
		at := landedSeq{w.Run, w.Seq + 1}
		switch epoch, there := s.writers[at]; {
		case there && epoch != w.Epoch:
			s.t.Errorf("sequence %d of run %s was written by epoch %d and again by %d", at.seq, at.run, epoch, w.Epoch)
		case !there && w.Epoch < s.epochs[w.Run]:
			s.t.Errorf("epoch %d of run %s wrote after epoch %d", w.Epoch, w.Run, s.epochs[w.Run])
		}
		s.writers[at] = w.Epoch
		s.epochs[w.Run] = max(s.epochs[w.Run], w.Epoch)
		if w.Entry != nil && w.Entry.Outcome == workflow.StepCompleted {
			s.finished[w.Run.String()+w.Entry.Step] = true
		}
	}
}

func TestNodeSurvivesRandomFaults(t *testing.T) {
	t.Parallel()
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) { surviveChaos(t, seed) })
		})
	}
}

func surviveChaos(t *testing.T, seed uint64) {
	store := newChaosStore(t, seed)
	step := func(name string, level workflow.Durability) workflow.Step[count] {
		return workflow.Do(name, func(ctx context.Context, s *count) error {
			attempt := workflow.FromContext(ctx)
			if level == workflow.Checkpointed && store.hasFinished(attempt) {
				t.Errorf("step %s of run %s begins again after its checkpoint", name, attempt.Run)
			}
			select {
			case <-time.After(time.Duration(store.roll(1000)) * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
			if store.roll(20) == 0 {
				return errors.New("not yet")
			}
			s.N++
			s.Trail = append(s.Trail, name)
			return nil
		}).Retry(workflow.Retry{Attempts: 1000, Delays: []time.Duration{time.Second, 6 * time.Second}})
	}
	of := func(name string, level workflow.Durability) *workflow.Workflow[count, count] {
		return workflow.New(name, step("one", level), step("two", level), step("three", level)).Durability(level)
	}
	stored, restarting, passing := of("stored", workflow.Checkpointed), of("restarting", workflow.Restartable), of("passing", workflow.Ephemeral)
	node := startNode(t, store, Config{Queues: map[string]int{"default": 3}}, stored, restarting, passing)

	var runs sync.WaitGroup
	random := rand.New(rand.NewPCG(seed, 3))
	for i := range 12 {
		w := []*workflow.Workflow[count, count]{stored, restarting, stored, passing}[i%4]
		wait := time.Duration(random.IntN(20)) * time.Second
		runs.Go(func() {
			time.Sleep(wait)
			completeInChaos(t, node, w, w == passing)
		})
	}
	disturb(node, random, 3)
	store.heal()
	runs.Wait()
	page, err := node.Runs(t.Context(), workflow.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range page.Runs {
		if run.State != workflow.Completed {
			t.Errorf("run %s is %s", run.ID, run.State)
		}
	}
	wantFreeSlots(t, node, 3)
}

// completeInChaos starts a run, as often as it takes to know that it was taken,
// and waits for it.
func completeInChaos(t *testing.T, node *Node, w *workflow.Workflow[count, count], ephemeral bool) {
	id := workflow.NewRunID()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for {
		run, err := w.StartWith(ctx, node, count{}, workflow.Options{ID: id})
		if errors.Is(err, workflow.ErrOutcomeUnknown) || errors.Is(err, workflow.ErrUnavailable) {
			time.Sleep(time.Second)
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		out, err := run.Wait(ctx)
		if ephemeral && err != nil {
			return // its actor crashed
		}
		if err != nil || !slices.Equal(out.Trail, []string{"one", "two", "three"}) {
			row, _ := node.Run(ctx, id)
			t.Errorf("run %s left %+v, %v; its row is %+v, in memory: %t", id, out, err, row, inMemory(node, id))
		}
		return
	}
}

// disturb makes actors crash for half a minute, none so often that it is given
// up.
func disturb(node *Node, random *rand.Rand, dispatchers int) {
	crashes := map[workflow.RunID]int{}
	for range 60 {
		time.Sleep(500 * time.Millisecond)
		live := node.runsInMemory()
		switch n := random.IntN(20); {
		case n == 0 && dispatchers > 0:
			dispatchers--
			crash(node, "dispatcher")
		case n < 8 && len(live) > 0:
			if id := live[random.IntN(len(live))]; crashes[id] < 8 {
				crashes[id]++
				crash(node, runPID(id))
			}
		}
	}
}
