package supervisor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

// pool starts a tree whose only child is a pool, and returns both.
func (w *world) pool(cfg supervisor.PoolConfig) (*supervisor.Tree, *actor.PID) {
	w.Helper()
	cfg.Logger = silent
	if cfg.Backoff == (supervisor.Backoff{}) {
		cfg.Backoff = noJitter
	}
	tree := w.start(supervisor.Config{}, supervisor.Child{Name: "pool", Backoff: noJitter, Props: func(int) *actor.Props {
		return supervisor.PoolProps(cfg)
	}})
	return tree, tree.Child("pool")
}

// join starts c in a pool and returns the answer.
func (w *world) join(pool *actor.PID, c supervisor.Child) supervisor.ChildStarted {
	w.Helper()
	answer, err := w.system.Root.RequestFuture(pool, supervisor.StartChild{Child: c}, time.Minute).Result()
	if err != nil {
		w.Fatal(err)
	}
	return answer.(supervisor.ChildStarted)
}

// mustJoin is join for a child that has to start.
func (w *world) mustJoin(pool *actor.PID, c supervisor.Child) *actor.PID {
	w.Helper()
	answer := w.join(pool, c)
	if answer.Err != nil {
		w.Fatal(answer.Err)
	}
	return answer.PID
}

// pooled is a transient child that takes its backoff from the pool.
func (w *world) pooled(name string, tempers ...temper) supervisor.Child {
	c := w.child(name, tempers...)
	c.Backoff = supervisor.Backoff{}
	c.Restart = supervisor.Transient
	return c
}

func TestPoolHoldsThousands(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		const children = 2_000
		tree, pool := w.pool(supervisor.PoolConfig{})
		want := make([]string, 0, 2*children)
		for i := range children {
			name := fmt.Sprintf("run/%d", i)
			w.send(pool, supervisor.StartChild{Child: w.pooled(name)})
			want = append(want, name+" starts", name+" stops")
		}
		n := w.describe(tree).Children[0]
		if n.Kind != "pool" || len(n.Children) != 100 || n.More != children-100 {
			w.Errorf("described as a %s that lists %d children and leaves out %d", n.Kind, len(n.Children), n.More)
		}
		w.stop(tree)
		w.expectAnyOrder(want...)
	})
}

func TestPoolRestartsAChildAfterAPanicOnly(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree, pool := w.pool(supervisor.PoolConfig{})
		c := w.pooled("run/7")
		c.PID = "run/7"
		first := w.mustJoin(pool, c)
		w.expect("run/7 starts")
		w.send(first, crash{"boom"})
		w.pass(100*time.Millisecond - time.Nanosecond)
		w.expect("run/7 stops")
		if n := w.describe(tree).Children[0].Children[0]; n.State != supervisor.BackingOff || n.LastFailure == "" {
			w.Errorf("described as %+v, want it to back off from its failure", n)
		}
		w.pass(time.Nanosecond)
		w.expect("run/7 restarts #1")
		if n := w.describe(tree).Children[0].Children[0]; n.State != supervisor.Running || n.Restarts != 1 || n.PID != "nonhost/run/7" {
			w.Errorf("described as %+v, want it to run again under its own id", n)
		}
		w.send(w.system.NewLocalPID("run/7"), quit{})
		w.pass(time.Minute)
		w.expect("run/7 stops")
		if n := w.describe(tree).Children[0]; len(n.Children) != 0 {
			w.Errorf("the pool still holds %v", n.Children)
		}
	})
}

func TestPoolRefusesANameThatIsLive(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, pool := w.pool(supervisor.PoolConfig{})
		first := w.mustJoin(pool, w.pooled("a"))
		refused := func() {
			w.Helper()
			if answer := w.join(pool, w.pooled("a")); !errors.Is(answer.Err, supervisor.ErrChildExists) || answer.PID != nil {
				w.Errorf("the pool answers %+v, want ErrChildExists", answer)
			}
		}
		refused()
		w.send(first, crash{"boom"})
		w.expect("a starts", "a stops")
		refused() // it will be restarted
		w.pass(100 * time.Millisecond)
		w.send(w.system.NewLocalPID(first.Id), quit{})
		w.expect("a restarts #1", "a stops")
		if again := w.mustJoin(pool, w.pooled("a")); again.Id != first.Id {
			w.Errorf("it runs again as %s, want %s", again.Id, first.Id)
		}
		w.expect("a starts")
	})
}

func TestPoolDropsAChildThatExceedsItsOwnIntensity(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		var given []supervisor.GaveUp
		tree, pool := w.pool(supervisor.PoolConfig{
			MaxRestarts: 2,
			OnGaveUp:    func(g supervisor.GaveUp) { given = append(given, g) },
		})
		sound := w.mustJoin(pool, w.pooled("sound"))
		w.mustJoin(pool, w.pooled("poor", temper{starting: panics(always)}))
		w.pass(time.Minute)
		w.expectAnyOrder("sound starts",
			"poor starts", "poor stops", "poor restarts #1", "poor stops", "poor restarts #2", "poor stops")
		if len(given) != 1 {
			w.Fatalf("the pool gave up %v, want one child", given)
		}
		g := given[0]
		if g.Name != "poor" || g.PID != "root/pool/poor" || g.Restarts != 2 {
			w.Errorf("the pool gave up %+v, want poor after two restarts", g)
		}
		var p *supervisor.PanicError
		if !errors.Is(g.Err, supervisor.ErrIntensity) || !errors.As(g.Err, &p) {
			w.Errorf("the reason is %v, want ErrIntensity and the panic", g.Err)
		}
		w.send(sound, greet{"hello"})
		w.expect("sound hears hello")
		if n := w.describe(tree).Children[0]; len(n.Children) != 1 || n.Restarts != 0 {
			w.Errorf("the pool is described as %+v, want it unharmed, with one child", n)
		}
		w.mustJoin(pool, w.pooled("poor"))
		w.expect("poor starts")
	})
}

func TestPoolRefusesWhatItCannotStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		child supervisor.Child
		want  string
	}{
		"invalid":      {supervisor.Child{Name: "a"}, "no Props"},
		"no props":     {supervisor.Child{Name: "a", Props: func(int) *actor.Props { return nil }}, "Props returned nil"},
		"Props panics": {supervisor.Child{Name: "a", Props: func(int) *actor.Props { panic("boom") }}, "boom"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				_, pool := w.pool(supervisor.PoolConfig{})
				if answer := w.join(pool, tt.child); answer.Err == nil || !strings.Contains(answer.Err.Error(), tt.want) {
					w.Errorf("the pool answers %+v, want an error with %q", answer, tt.want)
				}
				w.mustJoin(pool, w.pooled("a")) // the name was not taken
			})
		})
	}
}

func TestPoolRetriesAChildThatCannotBeSpawnedAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, pool := w.pool(supervisor.PoolConfig{})
		c := w.pooled("a")
		sound := c.Props
		c.Props = func(start int) *actor.Props {
			if start == 1 {
				panic("boom")
			}
			return sound(start)
		}
		w.send(w.mustJoin(pool, c), crash{"boom"})
		w.pass(100 * time.Millisecond)
		w.expect("a starts", "a stops")
		w.pass(200 * time.Millisecond)
		w.expect("a restarts #2")
	})
}

func TestPoolStopsAllChildrenAtOnceAndLeavesTheBlockedBehind(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		defer close(gate)
		tree, pool := w.pool(supervisor.PoolConfig{Shutdown: 3 * time.Second})
		for _, name := range []string{"a", "b"} {
			w.send(w.mustJoin(pool, w.pooled(name)), block{gate})
		}
		w.mustJoin(pool, w.pooled("c"))
		w.send(w.mustJoin(pool, w.pooled("d")), crash{"boom"}) // backs off
		w.expectAnyOrder("a starts", "b starts", "c starts", "d starts", "d stops")
		began := time.Now()
		w.stop(tree)
		if took, want := time.Since(began), 3*time.Second; took != want {
			w.Errorf("the stop took %s, want the pool's Shutdown of %s", took, want)
		}
		w.expect("c stops")
	})
}

func TestPoolStartsNothingWhileItStops(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		_, pool := w.pool(supervisor.PoolConfig{})
		w.send(w.mustJoin(pool, w.pooled("a")), block{gate})
		w.system.Root.Poison(pool)
		if answer := w.join(pool, w.pooled("b")); !errors.Is(answer.Err, supervisor.ErrStopping) {
			w.Errorf("the pool answers %+v, want ErrStopping", answer)
		}
		close(gate)
		w.expect("a starts", "a stops")
	})
}

func TestStopChildIsForGood(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		state func(w *world, pid *actor.PID)
		notes []string
		took  time.Duration // until the pool has forgotten it
	}{
		{"running", func(*world, *actor.PID) {}, []string{"a starts", "a stops"}, 0},
		{"backing off", func(w *world, pid *actor.PID) { w.send(pid, crash{"boom"}) }, []string{"a starts", "a stops"}, 0},
		{"blocked", func(w *world, pid *actor.PID) { w.send(pid, block{w.Context().Done()}) }, []string{"a starts"}, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				tree, pool := w.pool(supervisor.PoolConfig{})
				c := w.pooled("a")
				c.Restart = supervisor.Permanent
				tt.state(w, w.mustJoin(pool, c))
				w.settle()
				w.send(pool, supervisor.StopChild{Name: "a"})
				w.send(pool, supervisor.StopChild{Name: "nobody"})
				if tt.took > 0 {
					w.pass(tt.took - time.Nanosecond)
					if n := w.describe(tree).Children[0]; len(n.Children) != 1 || n.Children[0].State != supervisor.Stopping {
						w.Errorf("the pool holds %v, want the child to be stopping", n.Children)
					}
					w.pass(time.Nanosecond)
				}
				if n := w.describe(tree).Children[0]; len(n.Children) != 0 {
					w.Errorf("the pool still holds %v", n.Children)
				}
				w.pass(time.Minute)
				w.expect(tt.notes...)
			})
		})
	}
}

func TestPoolChildThatFailsAndDoesNotEndIsReplaced(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		tree, pool := w.pool(supervisor.PoolConfig{})
		pid := w.mustJoin(pool, w.pooled("a", temper{stopping: func(start int) {
			if start == 0 {
				<-gate
			}
		}}))
		w.send(pid, crash{"boom"})
		w.pass(5*time.Second + 100*time.Millisecond)
		w.expect("a starts", "a stops", "a restarts #1")
		if n := w.describe(tree).Children[0].Children[0]; n.PID != tree.PID().Address+"/"+"root/pool/a~2" || !strings.Contains(n.LastFailure, "boom") {
			w.Errorf("described as %+v, want a second actor, because of the panic", n)
		}
		close(gate)
		w.settle()
		if n := w.describe(tree).Children[0]; len(n.Children) != 1 || n.Children[0].State != supervisor.Running {
			w.Errorf("the pool holds %v, want the late end to change nothing", n.Children)
		}
	})
}

func TestPoolThatFailsStartsEmpty(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree, pool := w.pool(supervisor.PoolConfig{MaxRestarts: -1, OnGaveUp: func(supervisor.GaveUp) { panic("boom") }})
		w.mustJoin(pool, w.pooled("a"))
		w.send(w.mustJoin(pool, w.pooled("b")), crash{"boom"})
		w.pass(100 * time.Millisecond)
		w.expectAnyOrder("a starts", "b starts", "b stops", "a stops")
		if n := w.describe(tree).Children[0]; n.State != supervisor.Running || n.Restarts != 1 || len(n.Children) != 0 {
			w.Errorf("described as %+v, want a pool that runs again and is empty", n)
		}
		w.mustJoin(tree.Child("pool"), w.pooled("a"))
		w.expect("a starts")
	})
}

func TestPoolDescribesFailedChildrenFirst(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree, pool := w.pool(supervisor.PoolConfig{})
		for i := range 200 {
			w.mustJoin(pool, w.pooled(fmt.Sprintf("%03d", i)))
		}
		var failed []string
		for i := 50; i < 200; i += 50 {
			name := fmt.Sprintf("%03d", i)
			w.send(w.system.NewLocalPID(pool.Id+"/"+name), crash{"boom"})
			failed = append(failed, name)
		}
		n := w.describe(tree).Children[0]
		names := make([]string, len(n.Children))
		for i, c := range n.Children {
			names[i] = c.Name
		}
		if !slices.IsSorted(names) || len(names) != 100 || n.More != 100 {
			w.Errorf("%d children are listed, %d are not, want the first 100 in order", len(names), n.More)
		}
		for _, name := range failed {
			if !slices.Contains(names, name) {
				w.Errorf("%s has failed and is not listed", name)
			}
		}
	})
}
