package supervisor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"singularity/supervisor"
)

func TestChildrenStartInOrderAndStopInReverse(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{},
			w.child("a"),
			branch("b", supervisor.Config{}, w.child("b1"), w.child("b2")),
			w.child("c"),
		)
		w.expect("a starts", "b1 starts", "b2 starts", "c starts")
		w.stop(tree)
		w.expect("c stops", "b2 stops", "b1 stops", "a stops")
	})
}

func TestNextChildWaitsUntilTheOneBeforeHasHandledStarted(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		slow := w.child("slow", temper{starting: func(int) { <-gate; w.notef("slow is up") }})
		go func() {
			w.expect("slow starts")
			close(gate)
		}()
		w.start(supervisor.Config{}, slow, w.child("next"))
		w.expect("slow is up", "next starts")
	})
}

func TestRestartTypes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		restart           supervisor.Restart
		onPanic, onNormal bool
	}{
		{supervisor.Permanent, true, true},
		{supervisor.Transient, true, false},
		{supervisor.Temporary, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.restart.String(), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				panicking, quitting := w.child("panicking"), w.child("quitting")
				panicking.Restart, quitting.Restart = tt.restart, tt.restart
				tree := w.start(supervisor.Config{}, panicking, quitting)

				w.send(tree.Child("panicking"), crash{"boom"})
				w.pass(time.Second)
				if got := tree.Child("panicking") != nil; got != tt.onPanic {
					w.Errorf("runs again after a panic: %t, want %t", got, tt.onPanic)
				}
				w.send(tree.Child("quitting"), quit{})
				w.pass(time.Second)
				if got := tree.Child("quitting") != nil; got != tt.onNormal {
					w.Errorf("runs again after a normal stop: %t, want %t", got, tt.onNormal)
				}
			})
		})
	}
}

func TestStrategiesRestartTheirGroup(t *testing.T) {
	t.Parallel()
	tests := []struct {
		strategy    supervisor.Strategy
		down, again []string
	}{
		{supervisor.OneForOne, []string{"b stops"}, []string{"b restarts #1"}},
		{
			supervisor.OneForAll,
			[]string{"b stops", "d stops", "c stops", "a stops"},
			[]string{"a restarts #1", "b restarts #1", "c restarts #1", "d restarts #1"},
		},
		{
			supervisor.RestForOne,
			[]string{"b stops", "d stops", "c stops"},
			[]string{"b restarts #1", "c restarts #1", "d restarts #1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.strategy.String(), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				tree := w.start(supervisor.Config{Strategy: tt.strategy}, w.child("a"), w.child("b"), w.child("c"), w.child("d"))
				w.expect("a starts", "b starts", "c starts", "d starts")
				w.send(tree.Child("b"), crash{"boom"})
				w.expect(tt.down...)
				w.pass(100 * time.Millisecond)
				w.expect(tt.again...)
			})
		})
	}
}

func TestRestartsBackOffAndStartOverAfterAQuietWindow(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{Window: 10 * time.Second}, w.child("a"))
		w.expect("a starts")
		for n, backoff := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
			w.send(tree.Child("a"), crash{"boom"})
			w.expect("a stops")
			w.pass(backoff - time.Nanosecond)
			w.expect()
			w.pass(time.Nanosecond)
			w.expect([]string{"a restarts #1", "a restarts #2", "a restarts #3"}[n])
		}
		w.pass(10 * time.Second)
		w.send(tree.Child("a"), crash{"boom"})
		w.pass(100 * time.Millisecond)
		w.expect("a stops", "a restarts #4")
	})
}

func TestStopGoesOnWithoutABlockedChild(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		blocked := w.child("b")
		blocked.Shutdown = 3 * time.Second
		tree := w.start(supervisor.Config{}, w.child("a"), blocked, w.child("c"))
		w.send(tree.Child("b"), block{gate})
		began := time.Now()
		w.stop(tree)
		if took, want := time.Since(began), 3*time.Second; took != want {
			w.Errorf("the stop took %s, want the child's Shutdown of %s", took, want)
		}
		w.expect("a starts", "b starts", "c starts", "c stops", "a stops")
		close(gate)
		w.expect("b stops")
	})
}

func TestStopWaitsForASupervisorAsLongAsItsChildrenTake(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		defer close(gate)
		tree := w.start(supervisor.Config{}, branch("b", supervisor.Config{}, w.child("b1"), w.child("b2")))
		w.send(tree.Child("b", "b1"), block{gate})
		w.send(tree.Child("b", "b2"), block{gate})
		began := time.Now()
		w.stop(tree)
		if took, want := time.Since(began), 10*time.Second; took != want {
			w.Errorf("the stop took %s, want the children's 5s each, %s", took, want)
		}
	})
}

func TestStoppedChildStillReceivesWhatWasSentBefore(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		tree := w.start(supervisor.Config{}, w.child("a"))
		a := tree.Child("a")
		w.send(a, block{gate})
		w.send(a, greet{"hello"})
		go func() {
			w.settle()
			close(gate)
		}()
		w.stop(tree)
		w.expect("a starts", "a hears hello", "a stops")
	})
}

func TestRestartedChildKeepsItsName(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		named := w.child("named")
		named.PID = "agent/smith"
		tree := w.start(supervisor.Config{}, w.child("plain"), named)
		for _, tt := range []struct{ name, id string }{{"plain", "root/plain"}, {"named", "agent/smith"}} {
			before := tree.Child(tt.name)
			if before.Id != tt.id {
				w.Errorf("%s runs as %s, want %s", tt.name, before.Id, tt.id)
			}
			w.send(before, crash{"boom"})
			w.pass(100 * time.Millisecond)
			if after := tree.Child(tt.name); after == before || after.Id != tt.id {
				w.Errorf("%s runs again as %v, want a new actor called %s", tt.name, after, tt.id)
			}
		}
		w.expect("plain starts", "named starts", "plain stops", "plain restarts #1", "named stops", "named restarts #1")
		w.send(w.system.NewLocalPID("agent/smith"), greet{"hello"})
		w.expect("named hears hello")
	})
}

func TestChildRunsUnderAnotherNameWhileABlockedPredecessorHoldsItsOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		tree := w.start(supervisor.Config{Strategy: supervisor.OneForAll}, w.child("a"), w.child("b"))
		w.send(tree.Child("a"), block{gate})
		w.send(tree.Child("b"), crash{"boom"})
		w.pass(5 * time.Second)
		if got, want := tree.Child("a").Id, "root/a~2"; got != want {
			w.Errorf("a runs as %s, want %s", got, want)
		}
		if got, want := w.describe(tree).Children[0].LastFailure, "did not stop in time"; got != want {
			w.Errorf("last failure of a is %q, want %q", got, want)
		}
		// The end of the predecessor is not mistaken for the end of its successor.
		close(gate)
		w.expect("a starts", "b starts", "b stops", "a restarts #1", "b restarts #1", "a stops")
		w.send(tree.Child("a"), crash{"boom"})
		w.pass(time.Second)
		if got, want := tree.Child("a").Id, "root/a"; got != want {
			w.Errorf("a runs as %s after the next restart, want %s", got, want)
		}
	})
}

func TestIntensityEscalatesThroughTwoLevels(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		once := supervisor.Config{MaxRestarts: 1}
		tree := w.start(once,
			w.child("a"),
			branch("middle", once, w.child("m"), branch("inner", once, w.child("i"), w.child("j"))),
		)
		w.expect("a starts", "m starts", "i starts", "j starts")

		// The first crash is dealt with by inner, the second by middle, which restarts
		// inner with a clean record.
		w.send(tree.Child("middle", "inner", "i"), crash{"boom"})
		w.pass(time.Second)
		w.expect("i stops", "i restarts #1")
		w.send(tree.Child("middle", "inner", "i"), crash{"boom"})
		w.pass(time.Second)
		w.expect("i stops", "j stops", "i starts", "j starts")

		// Two more use up inner again, and with it middle; the root restarts that.
		for range 2 {
			w.send(tree.Child("middle", "inner", "i"), crash{"boom"})
			w.pass(time.Second)
		}
		w.expect("i stops", "i restarts #1", "i stops", "j stops", "m stops", "m starts", "i starts", "j starts")

		// Four more use up the root.
		for range 4 {
			w.send(tree.Child("middle", "inner", "i"), crash{"boom"})
			w.pass(time.Second)
		}
		w.expect(
			"i stops", "i restarts #1",
			"i stops", "j stops", "i starts", "j starts",
			"i stops", "i restarts #1",
			"i stops", "j stops", "m stops", "a stops",
		)
		<-tree.Done()
		if err := tree.Err(); !errors.Is(err, supervisor.ErrIntensity) ||
			!strings.Contains(err.Error(), `child "middle"`) || !strings.Contains(err.Error(), `child "i"`) {
			w.Errorf("the root gave up because of %v, want ErrIntensity and the names on the way", err)
		}
	})
}

func TestBareStopOfASupervisorStopsItsChildren(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{}, branch("b", supervisor.Config{}, w.child("b1"), w.child("b2")))
		w.expect("b1 starts", "b2 starts")
		w.system.Root.Stop(tree.Child("b"))
		w.expectAnyOrder("b1 stops", "b2 stops")
		w.pass(100 * time.Millisecond)
		w.expect("b1 starts", "b2 starts")
	})
}

func TestPoisonOfASupervisorStopsItInOrder(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{}, branch("b", supervisor.Config{}, w.child("b1"), w.child("b2")))
		w.system.Root.Poison(tree.Child("b"))
		w.expect("b1 starts", "b2 starts", "b2 stops", "b1 stops")
	})
}
