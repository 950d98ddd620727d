package storetest

import (
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var turnStories = []story{
	{name: "turns/no more run at once with a key than its limit", tell: turnByKey},
	{name: "turns/keys take turns across claims", tell: turnTurns},
	{name: "turns/a claim goes round and round", tell: turnRounds},
	{name: "turns/within a key it goes by priority and due time", tell: turnOrder},
	{name: "turns/runs without a key get theirs before they are taken", tell: turnUnkeyed},
	{name: "turns/a new path gives the waiting runs new keys", tell: turnRekeyed},
	{name: "turns/no more begin with a key than its rate lets", tell: turnKeyRate},
}

// ofKey is a draft with a key, by the path k.
func (f *fixture) ofKey(key string) persistence.Insert {
	insert := f.draft()
	insert.Input, insert.LimitKey = fmt.Appendf(nil, `{"k":%q}`, key), &key
	return insert
}

// waits inserts a run with a key.
func (f *fixture) waits(key string) workflow.RunID {
	f.Helper()
	insert := f.ofKey(key)
	f.land(insert)
	return insert.Run
}

// keysOf are the keys of runs, in order.
func keysOf(activations []persistence.Activation) []string {
	var keys []string
	for _, activation := range activations {
		keys = append(keys, activation.Run.LimitKey)
	}
	return keys
}

// serves claims runs one by one, which must have the given keys and be all.
func (f *fixture) serves(boot persistence.BootID, want ...string) {
	f.Helper()
	var got []string
	for range len(want) + 1 {
		got = append(got, keysOf(f.takeLimited(boot, 1))...)
		if len(got) == len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		f.Errorf("runs were taken with the keys %q, want %q", got, want)
	}
}

// serveAll claims runs one by one until there are none, which must have the
// given keys.
func (f *fixture) serveAll(boot persistence.BootID, want ...string) {
	f.Helper()
	f.serves(boot, want...)
	if more := f.takeLimited(boot, 100); len(more) > 0 {
		f.Errorf("%q were taken beyond them", keysOf(more))
	}
}

func turnByKey(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(2), GlobalLimit: new(5)})
	for range 4 {
		f.waits("a")
		f.waits("b")
		f.waits("")
	}
	boot := f.join("a")
	got := keysOf(f.takeLimited(boot, 100))
	if slices.Sort(got); !slices.Equal(got, []string{"", "a", "a", "b", "b"}) {
		f.Errorf("runs were taken with the keys %q, want the first keys of two rounds", got)
	}
	f.set(queue, workflow.QueueChange{GlobalLimit: new(0)})
	if got := keysOf(f.takeLimited(boot, 100)); !slices.Equal(got, []string{""}) {
		f.Errorf("runs were taken with the keys %q, want one more without", got)
	}
}

func turnTurns(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k")})
	for range 3 {
		f.waits("b")
	}
	for range 2 {
		f.waits("Z")
		f.waits("ä")
		f.waits("c")
	}
	a, b := f.join("a"), f.join("b")
	f.serves(a, "Z", "b") // by their bytes
	f.serves(b, "c", "ä", "Z")
	f.waits("a")
	f.waits("")
	f.serveAll(a, "a", "b", "c", "ä", "", "b")
}

func turnRounds(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k")})
	for range 50 {
		f.waits("big")
	}
	for range 3 {
		f.waits("small")
		f.waits("tiny")
	}
	boot := f.join("a")
	count := map[string]int{}
	for _, key := range keysOf(f.takeLimited(boot, 10)) {
		count[key]++
	}
	if count["big"] != 4 || count["small"] != 3 || count["tiny"] != 3 {
		f.Errorf("%v were taken, want 4 of the big one and all of the others", count)
	}
	if got := f.takeLimited(boot, 100); len(got) != 46 {
		f.Errorf("%d were taken, want the other 46", len(got))
	}
}

func turnOrder(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k")})
	start := f.now().Add(-time.Hour)
	var order []workflow.RunID
	var inserts []persistence.Write
	for _, w := range []struct {
		after    time.Duration
		priority int
	}{{0, 0}, {time.Second, 0}, {0, 1}, {61 * time.Second, 0}, {0, 9}} {
		insert := f.ofKey("a")
		insert.Due, insert.Priority = start.Add(w.after), w.priority
		order, inserts = append(order, insert.Run), append(inserts, insert)
	}
	slices.Reverse(inserts)
	f.commit(inserts...)
	boot := f.join("a")
	var got []workflow.RunID
	for range order {
		got = append(got, ids(f.takeLimited(boot, 1))...)
	}
	if !slices.Equal(got, order) {
		f.Errorf("taken in order %v,\nwant %v", got, order)
	}
}

func turnUnkeyed(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(1)})
	for _, key := range []string{"a", "b", "a"} {
		insert := f.ofKey(key)
		insert.LimitKey = nil
		f.land(insert)
	}
	f.stored() // its input has no such member
	f.waits("b")
	boot := f.join("a")
	got := keysOf(f.takeLimited(boot, 10))
	if slices.Sort(got); !slices.Equal(got, []string{"", "a", "b"}) {
		f.Errorf("runs were taken with the keys %q, want one of each", got)
	}
}

func turnRekeyed(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k")})
	const runs = 250 // several batches
	var batch []persistence.Write
	for i := range runs {
		insert := f.draft()
		insert.Input, insert.LimitKey, insert.Priority = fmt.Appendf(nil, `{"k":"old","other":%d}`, i%2), new("old"), i%3
		batch = append(batch, insert)
	}
	f.commit(batch...)
	f.set(queue, workflow.QueueChange{KeyPath: new("other"), KeyLimit: new(1)})
	boot := f.join("a")
	got := keysOf(f.takeLimited(boot, 10))
	if slices.Sort(got); !slices.Equal(got, []string{"0", "1"}) {
		f.Errorf("runs were taken with the keys %q, want 0 and 1", got)
	}
	page, err := f.store.Runs(f.Context(), workflow.Filter{Limit: 1000})
	if err != nil || len(page.Runs) != runs {
		f.Fatalf("%d runs, %v", len(page.Runs), err)
	}
	for _, run := range page.Runs {
		if run.LimitKey == "old" {
			f.Fatalf("run %s still has its old key", run.ID)
		}
	}
}

func turnKeyRate(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyRate: new(0.01), KeyBurst: new(2)})
	for range 4 {
		f.waits("a")
		f.waits("")
	}
	f.waits("b")
	boot := f.join("a")
	verdict := f.land(limitedClaim(boot, 10))
	got := keysOf(verdict.Activations)
	if slices.Sort(got); !slices.Equal(got, []string{"", "", "a", "a", "b"}) {
		f.Errorf("runs were taken with the keys %q, want two of each that has them", got)
	}
	if verdict.Wait < 90*time.Second || verdict.Wait > 101*time.Second {
		f.Errorf("the next token is said to come in %s, want 100 s", verdict.Wait)
	}
	if _, err := f.store.Prune(f.Context(), persistence.RetentionPolicy{}, 10); err != nil {
		f.Fatalf("prune: %v", err)
	}
	if got := f.takeLimited(boot, 10); len(got) != 0 {
		f.Errorf("%q were taken beyond the rate", keysOf(got))
	}
}
