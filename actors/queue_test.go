package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestQueueRunsNoMoreThanItsLimitAtOnce(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				const limit, runs = 4, 300
				var mu sync.Mutex
				inside, most := 0, 0
				enter := func(by int) {
					mu.Lock()
					defer mu.Unlock()
					inside += by
					most = max(most, inside)
				}
				step := func(name string) workflow.Step[count] {
					return workflow.Do(name, func(context.Context, *count) error {
						enter(1)
						defer enter(-1)
						time.Sleep(time.Duration(rand.IntN(int(time.Second))))
						if rand.IntN(10) == 0 {
							return errors.New("not yet")
						}
						return nil
					}).Retry(workflow.Retry{Attempts: 100, Delays: []time.Duration{time.Second, 30 * time.Second}})
				}
				loaded := workflow.New("loaded", step("one"), step("two")).Durability(level)
				node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": limit}}, loaded)
				var starts sync.WaitGroup
				for range runs {
					starts.Go(func() {
						time.Sleep(time.Duration(rand.IntN(int(time.Minute))))
						finish(t, start(t, node, loaded))
					})
				}
				starts.Wait()
				if most != limit {
					t.Errorf("%d runs at once, the limit is %d", most, limit)
				}
			})
		})
	}
}

// order is in which order runs began.
type order struct {
	mu   sync.Mutex
	list []int
}

// noting is a workflow whose runs note that they begin.
func (o *order) noting() *workflow.Workflow[count, count] {
	return workflow.New("noting", workflow.Do("note", func(_ context.Context, s *count) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.list = append(o.list, s.N)
		return nil
	}))
}

func (o *order) want(t *testing.T, want ...int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.list, want) {
		t.Errorf("ran in the order %v, want %v", o.list, want)
	}
}

func TestRunsWaitInOrderOfPriorityAndDueTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var got order
		noting, blocker := got.noting(), newGate(t, "blocker")
		blocking := workflow.New("blocking", blocker.step().Timeout(time.Hour))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1}}, noting, blocking)
		start(t, node, blocking)
		synctest.Wait()
		begin := func(n int, options workflow.Options) {
			t.Helper()
			if _, err := noting.StartWith(t.Context(), node, count{N: n}, options); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		begin(5, workflow.Options{Priority: 9})
		begin(2, workflow.Options{})
		begin(4, workflow.Options{Priority: 1}) // one step weighs a minute of waiting
		begin(3, workflow.Options{})
		begin(1, workflow.Options{Due: time.Now().Add(-time.Hour)})
		blocker.open()
		time.Sleep(time.Minute)
		got.want(t, 1, 2, 3, 4, 5)
	})
}

func TestNewRunLinesUpBehindThoseThatWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var got order
		noting := got.noting()
		store := memory.New()
		first := startNode(t, store, Config{}, noting)
		soon := time.Now().Add(time.Minute)
		for n := range 5 {
			if _, err := noting.StartWith(t.Context(), first, count{N: n}, workflow.Options{Due: soon}); err != nil {
				t.Fatal(err)
			}
			soon = soon.Add(time.Microsecond)
		}
		stopNode(t, first)
		time.Sleep(time.Hour)
		second := startNode(t, store, Config{Queues: map[string]int{"default": 1}}, noting)
		if _, err := noting.Start(t.Context(), second, count{N: 5}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		got.want(t, 0, 1, 2, 3, 4, 5)
	})
}

func TestScheduledRunStartsWhenItIsDue(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Millisecond, time.Second, 17 * time.Second, 3 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				counting := workflow.New("counting", add("one"))
				node := startNode(t, memory.New(), Config{}, counting)
				time.Sleep(100 * time.Second)
				began := time.Now()
				// The later one first: the earlier one must move the alarm.
				startWith(t, node, counting, workflow.Options{Due: began.Add(2 * ahead)})
				run := startWith(t, node, counting, workflow.Options{Due: began.Add(ahead)})
				wantState(t, node, run.ID(), workflow.Scheduled)
				finish(t, run)
				if took := time.Since(began); took < ahead || took > ahead+time.Millisecond {
					t.Errorf("it ended after %s, want %s", took, ahead)
				}
			})
		})
	}
}

// While a claim is on its way a run becomes due that the claim was too early
// for. Only the claim's answer, which comes back short, follows.
func TestRunThatBecomesDueDuringAClaimIsNotForgotten(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		counting := workflow.New("counting", add("one"))
		node := startNode(t, store, Config{}, counting)
		time.Sleep(605 * time.Second) // sweeps have become rare, and the next one is 26s away
		began := time.Now()
		run := startWith(t, node, counting, workflow.Options{Due: began.Add(2 * time.Second)})
		store.afterCommit(func(batch []persistence.Write) error {
			if has(batch, every[persistence.Claim]) {
				<-block
			}
			return nil
		})
		time.Sleep(time.Second)
		node.tellDispatcher(released{queue: "default"})
		time.Sleep(2 * time.Second)
		close(block)
		finish(t, run)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it ran after %s", took)
		}
	})
}

func TestFullEphemeralQueueRefusesMore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step()).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 10}}, holding)
		var last *workflow.Handle[count]
		for range 10 + maxWaiting {
			last = start(t, node, holding)
		}
		if _, err := holding.Start(t.Context(), node, count{}); !errors.Is(err, workflow.ErrQueueFull) {
			t.Errorf("one more was answered with %v", err)
		}
		if _, err := node.Cancel(t.Context(), last.ID(), ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start(t, node, holding) // there is room again
	})
}

// A failing claim holds all free slots while it is under way. Ephemeral runs
// that came meanwhile do not need the store.
func TestEphemeralRunsGoOnWhileClaimsFail(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		counting := workflow.New("counting", add("one")).Durability(workflow.Ephemeral)
		node := startNode(t, store, Config{}, counting)
		time.Sleep(time.Minute)
		store.beforeCommit(func([]persistence.Write) error { <-block; return errDown })
		store.duringSweep(func() error { return errDown })
		node.tellDispatcher(released{queue: "default"})
		synctest.Wait()
		run := start(t, node, counting)
		began := time.Now()
		close(block)
		finish(t, run)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it ran after %s", took)
		}
	})
}

func TestRunsAreClaimedSoonAfterAnOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		counting := workflow.New("counting", add("one"))
		node := startNode(t, store, Config{}, counting)
		time.Sleep(605 * time.Second) // sweeps have become rare, and the next one is 26s away
		run := startWith(t, node, counting, workflow.Options{Due: time.Now().Add(time.Second)})
		store.beforeCommit(func([]persistence.Write) error { return errDown })
		store.duringSweep(func() error { return errDown })
		time.Sleep(40 * time.Second)
		store.restore()
		began := time.Now()
		finish(t, run)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it ran %s after the store came back", took)
		}
	})
}

func TestWorkflowRegisteredDuringASweepIsClaimedSoon(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		counting := workflow.New("counting", add("one"))
		first := startNode(t, store, Config{}, counting)
		run := startWith(t, first, counting, workflow.Options{Due: time.Now().Add(time.Second)})
		stopNode(t, first)
		second := startNode(t, store, Config{})
		time.Sleep(10 * time.Minute)
		store.duringSweep(func() error { <-block; return nil })
		second.tellDispatcher(lookNow{})
		synctest.Wait() // this sweep does not know the workflow yet
		if err := second.Register(counting); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(block)
		handle, err := counting.Handle(t.Context(), second, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		finish(t, handle)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it ran after %s", took)
		}
	})
}

func TestQueuedRunsDoNotStayInMemory(t *testing.T) {
	t.Parallel()
	type ballast struct {
		Block *[1024]byte `json:"block"`
	}
	var mu sync.Mutex
	var blocks []weak.Pointer[[1024]byte]
	accept := func(ballast) (ballast, error) {
		block := new([1024]byte)
		mu.Lock()
		defer mu.Unlock()
		blocks = append(blocks, weak.Make(block))
		return ballast{block}, nil
	}
	opened := make(chan struct{})
	holding := workflow.Define("holding", accept, func(*ballast) count { return count{} },
		workflow.Do("hold", func(context.Context, *ballast) error {
			<-opened
			return nil
		}))
	node := openNode(t, memory.New(), Config{Queues: map[string]int{"default": 1}}, holding)
	t.Cleanup(func() { close(opened) })
	const queued = 10_000
	for range queued {
		if _, err := holding.Start(t.Context(), node, ballast{}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.GC()
	held := 0
	for _, block := range blocks {
		if block.Value() != nil {
			held++
		}
	}
	if held > 10 {
		t.Errorf("%d states of %d queued runs are still in memory", held, queued)
	}
}

func TestUnknownQueueIsRefusedByName(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"a": 1, "default": 1}}, counting)
		_, err := counting.StartWith(t.Context(), node, count{}, workflow.Options{Queue: "b"})
		var invalid *workflow.InputError
		if !errors.As(err, &invalid) || invalid.Field != "queue" || invalid.Reason != `is "b"; this node has [a default]` {
			t.Errorf("got %v", err)
		}
	})
}

func BenchmarkQueuedRun(b *testing.B) {
	opened := make(chan struct{})
	holding := workflow.New("holding", workflow.Do("hold", func(context.Context, *count) error {
		<-opened
		return nil
	}))
	node := openNode(b, memory.New(), Config{Queues: map[string]int{"default": 1}}, holding)
	b.Cleanup(func() { close(opened) })
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := holding.StartWith(b.Context(), node, count{}, workflow.Options{Key: fmt.Sprint(n)}); err != nil {
			b.Fatal(err)
		}
	}
}
