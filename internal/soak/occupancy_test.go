package soak

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
)

// scope is what a limit is of: a queue, or a key in one.
type scope struct{ queue, key string }

func (s scope) String() string {
	if s.key == "" {
		return "queue " + s.queue
	}
	return fmt.Sprintf("key %s of queue %s", s.key, s.queue)
}

// occupancy holds the runs that are in a step to limits. It learns of that from
// the ledger: a step is under way from its first effect to its second at least.
type occupancy struct {
	limits map[scope]int

	mu      sync.Mutex
	scopes  map[string]scope  // of runs
	open    map[string]Effect // that began the step that a run is in
	lost    map[int]bool      // processes whose steps count no more
	now     map[scope]int
	most    map[scope]int // since the last look
	over    []string
	zombies int // second effects of steps whose runs were somebody else's by then
}

func newOccupancy(limits map[scope]int) *occupancy {
	return &occupancy{
		limits: limits, scopes: map[string]scope{}, open: map[string]Effect{}, lost: map[int]bool{},
		now: map[scope]int{}, most: map[scope]int{},
	}
}

// expect says what a run counts for, before it is started.
func (o *occupancy) expect(run string, s scope) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scopes[run] = s
}

// counts reports whether a run counts for a scope.
func (o *occupancy) counts(run string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.scopes[run] != scope{}
}

// hear takes in an effect.
func (o *occupancy) hear(e Effect) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, open := o.open[e.Run]
	switch {
	case o.lost[e.PID]:
	case !e.Ends:
		if open {
			o.close(e.Run)
		}
		o.begin(e)
	case open && before.PID == e.PID && before.Epoch == e.Epoch:
		o.close(e.Run)
	default:
		o.zombies++
	}
}

func (o *occupancy) begin(e Effect) {
	s := o.scopes[e.Run]
	o.open[e.Run] = e
	o.now[s]++
	o.most[s] = max(o.most[s], o.now[s])
	if limit, limited := o.limits[s]; limited && o.now[s] > limit {
		o.over = append(o.over, fmt.Sprintf("with run %s, %d runs of %s are in a step; expected at most %d", e.Run, o.now[s], s, limit))
	}
}

func (o *occupancy) close(run string) {
	o.now[o.scopes[run]]--
	delete(o.open, run)
}

// lose is called right before a process is killed or stopped: from then on its
// runs are as good as somebody else's.
func (o *occupancy) lose(pid int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost[pid] = true
	for run, e := range maps.Clone(o.open) {
		if e.PID == pid {
			o.close(run)
		}
	}
}

// wake is called right before a stopped process goes on.
func (o *occupancy) wake(pid int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.lost, pid)
}

// forget begins to look for the most anew.
func (o *occupancy) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.most = map[scope]int{}
}

// unreached says of which scopes there were fewer runs than they may have.
func (o *occupancy) unreached() (missing string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for s, limit := range o.limits {
		if o.most[s] < limit {
			missing += fmt.Sprintf("%s had %d runs in a step of %d at most; ", s, o.most[s], limit)
		}
	}
	return missing
}

func (o *occupancy) found() (over []string, zombies int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.over), o.zombies
}

func TestOccupancyFindsWhatIsOverTheLimit(t *testing.T) {
	t.Parallel()
	one := scope{"one", ""}
	o := newOccupancy(map[scope]int{one: 1})
	for _, run := range []string{"a", "b", "c"} {
		o.expect(run, one)
	}
	step := func(run string, pid int, epoch int64) (begins, ends Effect) {
		return Effect{Run: run, PID: pid, Epoch: epoch}, Effect{Run: run, PID: pid, Epoch: epoch, Ends: true}
	}
	expect := func(when string, over, zombies int) {
		t.Helper()
		if found, counted := o.found(); len(found) != over || counted != zombies {
			t.Errorf("%s: %d runs are over the limit and there are %d effects of zombies; want %d and %d", when, len(found), counted, over, zombies)
		}
	}
	aBegins, aEnds := step("a", 1, 1)
	bBegins, bEnds := step("b", 2, 1)
	o.hear(aBegins)
	o.hear(aEnds)
	o.hear(bBegins)
	expect("one after the other", 0, 0)
	o.hear(aBegins)
	expect("two at once", 1, 0)
	o.hear(aEnds)

	o.lose(2)
	cBegins, cEnds := step("c", 1, 1)
	o.hear(cBegins)
	o.hear(bEnds)
	expect("in the place of one whose process is lost", 1, 0)
	o.wake(2)
	o.hear(bEnds)
	expect("the lost process goes on", 1, 1)
	o.hear(cEnds)
	if missing := o.unreached(); missing != "" {
		t.Errorf("the limit is reached, and %s", missing)
	}
	if o.forget(); o.unreached() == "" {
		t.Error("the limit was not reached since, and nothing is missing")
	}
}
