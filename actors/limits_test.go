package actors

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// setQueue changes a queue as it must be possible.
func setQueue(t testing.TB, node *Node, name string, change workflow.QueueChange) {
	t.Helper()
	if _, err := node.SetQueue(t.Context(), name, change); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// spans are when the steps of a workflow began and ended.
type spans struct {
	mu           sync.Mutex
	inside, most int
	began, ended []time.Time
}

func (s *spans) step(lasts time.Duration) workflow.Step[count] {
	return workflow.Do("work", func(ctx context.Context, _ *count) error {
		s.enter(1)
		defer s.enter(-1)
		select {
		case <-time.After(lasts):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}).Timeout(time.Hour)
}

func (s *spans) enter(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside += by
	s.most = max(s.most, s.inside)
	if by > 0 {
		s.began = append(s.began, time.Now())
	} else {
		s.ended = append(s.ended, time.Now())
	}
}

// starts counts those that began.
func (s *spans) starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.began)
}

func TestQueueWithLimitOneStartsTheNextRunAtOnce(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"one node", "all nodes"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				var work spans
				flow := workflow.New("flow", work.step(100*time.Millisecond))
				c := startPeers(t, 3, flow)
				setQueue(t, c.nodes[0], "default", workflow.QueueChange{GlobalLimit: new(1)})
				time.Sleep(10 * time.Minute) // the sweeps have become rare
				var runs []*workflow.Handle[count]
				for i := range 30 {
					node := c.nodes[0]
					if from == "all nodes" {
						node = c.nodes[i%3]
					}
					runs = append(runs, start(t, node, flow))
				}
				for _, run := range runs {
					finish(t, run)
				}
				if work.most != 1 {
					t.Errorf("%d runs at once, the limit is 1", work.most)
				}
				for i := 1; i < len(work.began); i++ {
					if gap := work.began[i].Sub(work.ended[i-1]); gap > 10*time.Millisecond {
						t.Errorf("run %d began %s after the end of the last one", i, gap)
					}
				}
			})
		})
	}
}

// overLimit samples how many runs the database takes to run, as long as the
// story goes on.
func overLimit(t *testing.T, store *memory.Store, queue string, limit int) {
	ctx, stop := context.WithCancel(t.Context())
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for ctx.Err() == nil {
			stats, err := store.QueueStats(ctx)
			for _, q := range stats {
				if err == nil && q.Queue == queue && q.Running > limit {
					t.Errorf("%d runs at once, the limit is %d", q.Running, limit)
					return
				}
			}
			time.Sleep(500 * time.Microsecond)
		}
	})
	t.Cleanup(func() {
		stop()
		sampling.Wait()
	})
}

func TestLimitsHoldWhileNodesJoinDieAndReturn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const limit, runs = 3, 150
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		c := startPeers(t, 3, flow)
		setQueue(t, c.nodes[0], "default", workflow.QueueChange{GlobalLimit: new(limit)})
		time.Sleep(soon) // the others hear of it
		overLimit(t, c.runs, "default", limit)
		var handles []*workflow.Handle[count]
		for range runs {
			handles = append(handles, start(t, c.nodes[0], flow))
		}
		time.Sleep(3300 * time.Millisecond)
		c.kill(1)
		time.Sleep(5 * time.Second)
		joined := &port{network: &c.network}
		joined.attach(c.add(joined, flow))
		c.pause(2) // for so long that it is declared dead
		time.Sleep(8 * time.Second)
		c.resume(2)
		c.loseHints(true)
		time.Sleep(5 * time.Second)
		c.loseHints(false)
		for _, run := range handles {
			finish(t, run)
		}
		// A node that dies leaves its share idle until that is noticed.
		if took := time.Since(work.began[0]); took > (runs/limit+15)*time.Second {
			t.Errorf("%d runs of a second, %d at once, took %s", runs, limit, took)
		}
	})
}

func TestRateLimitedQueueStartsRunsOnTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const runs, interval = 20, 100 * time.Millisecond
		store := newFaultyStore()
		var work spans
		flow := workflow.New("flow", work.step(time.Millisecond))
		node := startNode(t, store, Config{}, flow)
		setQueue(t, node, "default", workflow.QueueChange{Rate: new(10.0), Burst: new(2)})
		var handles []*workflow.Handle[count]
		for range runs {
			handles = append(handles, start(t, node, flow))
		}
		for _, run := range handles {
			finish(t, run)
		}
		for i, at := range work.began {
			due := time.Duration(max(0, i-1)) * interval // two at once
			if since := at.Sub(work.began[0]); since < due-time.Millisecond || since > due+10*time.Millisecond {
				t.Errorf("run %d began after %s, want %s", i, since, due)
			}
		}
		time.Sleep(time.Second)
		before := store.committed()
		time.Sleep(time.Hour)
		if more := store.committed() - before; more > 0 {
			t.Errorf("an idle queue with a rate cost %d transactions", more)
		}
	})
}

func TestKeysShareAQueueFairly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const keys, each, slots = 1000, 15, 200 // 12,000 runs in the minute
		var mu sync.Mutex
		began := map[int]int{}
		flow := workflow.New("flow", workflow.Do("work", func(_ context.Context, s *count) error {
			mu.Lock()
			began[s.N]++
			mu.Unlock()
			time.Sleep(time.Second)
			return nil
		}))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": slots}}, flow)
		setQueue(t, node, "default", workflow.QueueChange{KeyPath: new("n")})
		begin := func(key int) {
			if _, err := flow.Start(t.Context(), node, count{N: key}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2000 { // of a tenant who is first, and has more than all others
			begin(0)
		}
		for range each {
			for key := range keys {
				begin(key)
			}
		}
		mu.Lock()
		clear(began) // of those who came first
		mu.Unlock()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for key := range keys {
			if began[key] < 11 || began[key] > 13 {
				t.Errorf("%d runs of key %d began in a minute, want 12", began[key], key)
			}
		}
	})
}

// What ends elsewhere than in an actor here frees a place, too.
func TestCancelledRunMakesRoomAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		stuck := newGate(t, "stuck")
		stuck.stubborn = true
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		holding := workflow.New("holding", stuck.step().Timeout(time.Hour))
		c := startPeers(t, 2, flow, holding)
		setQueue(t, c.nodes[0], "default", workflow.QueueChange{GlobalLimit: new(1)})
		time.Sleep(10 * time.Minute)
		first := start(t, c.nodes[0], holding)
		time.Sleep(soon)
		second := start(t, c.nodes[0], flow)
		time.Sleep(time.Minute)
		if work.starts() != 0 {
			t.Fatal("two runs at once, the limit is 1")
		}
		if _, err := c.nodes[1].Cancel(t.Context(), first.ID(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		if work.starts() != 1 {
			t.Error("the next run did not begin when the first was cancelled")
		}
		finish(t, second)
	})
}

func TestRoomThatADyingNodeLeavesIsUsed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		c := startPeers(t, 2, flow, holding)
		setQueue(t, c.nodes[0], "default", workflow.QueueChange{KeyPath: new("n"), KeyLimit: new(1)})
		start(t, c.nodes[0], holding)
		time.Sleep(soon)
		run := start(t, c.nodes[1], flow)
		owner := read(t, c.nodes[0], run.ID())
		if owner.State != workflow.Available {
			t.Fatalf("the second run of the key is %s", owner.State)
		}
		began := time.Now()
		c.kill(0)
		hold.open()
		if _, err := run.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("the next run ended %s after the death", took)
		}
	})
}

func TestDrainingNodeLetsOthersUseTheRoom(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work spans
		flow := workflow.New("flow", work.step(3*time.Second))
		c := startPeers(t, 2, flow)
		setQueue(t, c.nodes[0], "default", workflow.QueueChange{GlobalLimit: new(1)})
		time.Sleep(10 * time.Minute)
		start(t, c.nodes[0], flow)
		time.Sleep(soon)
		next := start(t, c.nodes[0], flow)
		time.Sleep(time.Second)
		stopNode(t, c.nodes[0])
		other, err := flow.Handle(t.Context(), c.nodes[1], next.ID())
		if err != nil {
			t.Fatal(err)
		}
		finish(t, other)
		if gap := work.began[1].Sub(work.ended[0]); gap > 10*time.Millisecond {
			t.Errorf("the next run began %s after the end of the one on the node that drained", gap)
		}
	})
}

func TestRunOfAWorkflowThatFewKnowGetsItsTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work, rare spans
		flow := workflow.New("flow", work.step(3*time.Second))
		special := workflow.New("special", rare.step(time.Second))
		c := startPeers(t, 2, flow)
		if err := c.nodes[1].Register(special); err != nil {
			t.Fatal(err)
		}
		setQueue(t, c.nodes[0], "default", workflow.QueueChange{GlobalLimit: new(1)})
		time.Sleep(10 * time.Minute)
		start(t, c.nodes[0], flow)
		time.Sleep(soon)
		run := start(t, c.nodes[1], special)
		finish(t, run)
		if gap := rare.began[0].Sub(work.ended[0]); gap > 10*time.Millisecond {
			t.Errorf("it began %s after the end of the run on the other node", gap)
		}
	})
}

// heldStore says of the first limited claims that another one is under way.
type heldStore struct {
	*memory.Store
	mu   sync.Mutex
	held int
}

func (s *heldStore) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if has(batch, func(w persistence.Claim) bool { return w.Limited }) && s.held > 0 {
		s.held--
		return []persistence.Verdict{{Held: true}}, nil
	}
	return s.Store.Commit(ctx, batch)
}

func TestClaimThatMetAnotherIsRepeatedWithinMilliseconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &heldStore{Store: memory.New()}
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		node := startNode(t, store, Config{}, flow)
		setQueue(t, node, "default", workflow.QueueChange{GlobalLimit: new(1)})
		store.mu.Lock()
		store.held = 3
		store.mu.Unlock()
		began := time.Now()
		finish(t, start(t, node, flow))
		if late := work.began[0].Sub(began); late < 3*heldAgain/2 || late > 3*2*heldAgain {
			t.Errorf("it began after %s, want three tries of about %s", late, heldAgain)
		}
	})
}
