package soak

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"singularity"
	"singularity/workflow"
)

const (
	// mostUnfair is by which part of their mean keys may differ from it.
	mostUnfair = 0.1
	// turnTakes is for how long each run of a key has a slot.
	turnTakes = 100 * time.Millisecond
	// fairSlots are those of each of the two engines.
	fairSlots = 20
)

// TestKeysShareAQueueFairly counts the turns that many keys get, of which one has
// far more runs than the others, and those before theirs.
func TestKeysShareAQueueFairly(t *testing.T) {
	t.Parallel()
	c, admin := newCountedCluster(t, "fair share of keys")
	if _, err := admin.pool.Exec(t.Context(), withoutHistory); err != nil {
		t.Fatal(err)
	}
	keys, lasts := 50, 3*time.Second
	if *full {
		keys, lasts = 1000, time.Minute
	}
	turns := newTurns(keys * 2)
	flow := workflow.Define("load", accept, conclude, workflow.Do("turn", turns.take))
	config := singularity.Config{DatabaseURL: c.url, Queues: map[string]int{"default": fairSlots}}
	engine := c.openEngine(config, flow)
	settings := workflow.QueueChange{KeyPath: new("note"), KeyLimit: new(2)}
	if _, err := engine.SetQueue(t.Context(), "default", settings); err != nil {
		t.Fatal(err)
	}
	if _, _, err := engine.PauseQueue(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	config.Instance = "another"
	another := c.openEngine(config, flow)
	// Each key has work for as long as it is looked at, and a while.
	most := 2*int(lasts/turnTakes)*fairSlots*2/keys + 4
	inputs := make([]order, 0, keys*(most+1))
	for range 2 * keys {
		inputs = append(inputs, order{"key 0"})
	}
	for range most {
		for key := range keys {
			inputs = append(inputs, order{fmt.Sprint("key ", key)})
		}
	}
	for len(inputs) > 0 {
		page := inputs[:min(len(inputs), workflow.MaxStarts)]
		if _, err := flow.StartMany(t.Context(), engine, page, workflow.Options{}); err != nil {
			t.Fatal(err)
		}
		inputs = inputs[len(page):]
	}
	c.begin()
	if _, _, err := engine.ResumeQueue(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	turns.await(t)
	before := turns.counted()
	if *full {
		pass(t, lasts)
	} else {
		turns.awaitMore(t, 5*keys) // however long they take
	}
	after := turns.counted()
	c.verdict.CPU = c.cpu.share(readCPU())
	c.judgeTurns(before, after, keys)
	engine.close()
	another.close()
	c.expectNobodyDead()
	c.conclude()
}

// judgeTurns expects each key to have had about as many turns as any other.
func (c *cluster) judgeTurns(before, after map[string]int, keys int) {
	least, most, sum := after["key 1"]-before["key 1"], 0, 0
	for key := range keys {
		note := fmt.Sprint("key ", key)
		count := after[note] - before[note]
		least, most, sum = min(least, count), max(most, count), sum+count
	}
	mean := float64(sum) / float64(keys)
	counts := c.verdict.Counts
	counts["keys"], counts["runs"], counts["runs_of_a_key_at_least"], counts["runs_of_a_key_at_most"] = keys, sum, least, most
	c.verdict.Figures["runs_of_a_key_on_average"] = figureOf(mean)
	if least == 0 {
		c.brokenly("there is a key without a turn; %d runs of %d keys began", sum, keys)
	}
	if *full && (float64(least) < mean*(1-mostUnfair) || float64(most) > mean*(1+mostUnfair)) {
		c.brokenly("%d to %d runs of each key began, %.1f on average; expected them within %.0f %%", least, most, mean, 100*mostUnfair)
	}
}

// turns counts the runs of each key that have begun.
type turns struct {
	warm chan struct{} // closed after some

	mu    sync.Mutex
	left  int // until it is
	began map[string]int
}

func newTurns(warm int) *turns {
	return &turns{warm: make(chan struct{}), left: warm, began: map[string]int{}}
}

// take is a step that has a slot for a while.
func (t *turns) take(ctx context.Context, o *order) error {
	t.mu.Lock()
	t.began[o.Note]++
	if t.left--; t.left == 0 {
		close(t.warm)
	}
	t.mu.Unlock()
	select {
	case <-time.After(turnTakes):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await waits until some runs have begun.
func (t *turns) await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	select {
	case <-t.warm:
	case <-ctx.Done():
		tb.Fatal("the first runs did not begin")
	}
}

// awaitMore waits until so many more runs have begun.
func (t *turns) awaitMore(tb testing.TB, runs int) {
	tb.Helper()
	begun := func() (sum int) {
		for _, count := range t.counted() {
			sum += count
		}
		return sum
	}
	most := begun() + runs
	await(tb, func(context.Context) (missing string, err error) {
		if now := begun(); now < most {
			missing = fmt.Sprintf("%d runs have begun, expected %d", now, most)
		}
		return missing, nil
	})
}

func (t *turns) counted() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.began)
}
