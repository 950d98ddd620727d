package supervisor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

func TestPanicWhileStartingIsRetriedWithBackoff(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		began := time.Now()
		w.start(supervisor.Config{}, w.child("a", temper{starting: panics(until(3))}), w.child("b"))
		if took, want := time.Since(began), 700*time.Millisecond; took != want {
			w.Errorf("the start took %s, want the backoffs of %s", took, want)
		}
		w.expect("a starts", "a stops", "a restarts #1", "a stops", "a restarts #2", "a stops", "a restarts #3", "b starts")
	})
}

func TestPanicOfPropsOrProducerIsAFailedStart(t *testing.T) {
	t.Parallel()
	tests := map[string]func() *actor.Props{
		"Props panics":    func() *actor.Props { panic("boom") },
		"Props is nil":    func() *actor.Props { return nil },
		"producer panics": func() *actor.Props { return actor.PropsFromProducer(func() actor.Actor { panic("boom") }) },
	}
	for name, props := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				c := w.child("a")
				sound := c.Props
				c.Props = func(start int) *actor.Props {
					if start == 0 {
						return props()
					}
					return sound(start)
				}
				tree := w.start(supervisor.Config{}, c)
				w.expect("a restarts #1")
				if n := w.describe(tree).Children[0]; n.Restarts != 1 || n.LastFailure == "" {
					w.Errorf("described as %+v, want one restart and its reason", n)
				}
			})
		})
	}
}

func TestPanicWhileStoppingDoesNotCancelTheStop(t *testing.T) {
	t.Parallel()
	for turn, do := range map[string]temper{
		"stopping": {stopping: panics(always)},
		"stopped":  {stopped: panics(always)},
	} {
		t.Run(turn, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				began := time.Now()
				tree := w.start(supervisor.Config{}, w.child("a"), w.child("b", do))
				w.stop(tree)
				w.expect("a starts", "b starts", "b stops", "a stops")
				if took := time.Since(began); took != 0 {
					w.Errorf("the stop took %s, want it not to wait for anything", took)
				}
			})
		})
	}
}

func TestPanicWhileStoppingByItselfCountsAsFailure(t *testing.T) {
	t.Parallel()
	for turn, do := range map[string]temper{
		"stopping": {stopping: panics(atFirst)},
		"stopped":  {stopped: panics(atFirst)},
	} {
		t.Run(turn, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				c := w.child("a", do)
				c.Restart = supervisor.Transient
				tree := w.start(supervisor.Config{}, c)
				w.send(tree.Child("a"), quit{})
				w.pass(100 * time.Millisecond)
				w.expect("a starts", "a stops", "a restarts #1")
				if got, want := w.describe(tree).Children[0].LastFailure, "boom"; !strings.Contains(got, want) {
					w.Errorf("last failure is %q, want it to mention %q", got, want)
				}
			})
		})
	}
}

func TestSeveralChildrenThatCannotBeSpawnedExhaustTheirSupervisor(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		once := func(name string) supervisor.Child {
			c := w.child(name)
			sound := c.Props
			c.Props = func(start int) *actor.Props {
				if start > 0 {
					panic("boom")
				}
				return sound(start)
			}
			return c
		}
		tree := w.start(supervisor.Config{MaxRestarts: 2}, once("a"), once("b"))
		w.send(tree.Child("a"), crash{"boom"})
		w.send(tree.Child("b"), crash{"boom"})
		w.expectAnyOrder("a starts", "b starts", "a stops", "b stops")
		<-tree.Done()
		if err := tree.Err(); !errors.Is(err, supervisor.ErrIntensity) {
			w.Errorf("the root gave up because of %v, want ErrIntensity", err)
		}
	})
}

func TestPanicCarriesItsStack(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		cause := errors.New("the cause")
		tree := w.start(supervisor.Config{MaxRestarts: -1}, w.child("a"))
		w.send(tree.Child("a"), crash{cause})
		<-tree.Done()
		var p *supervisor.PanicError
		if err := tree.Err(); !errors.As(err, &p) || !errors.Is(err, cause) {
			w.Fatalf("the root gave up because of %v, want a PanicError with the cause", err)
		}
		if p.Message != "supervisor_test.crash" || !strings.Contains(string(p.Stack), "world_test.go") {
			w.Errorf("the panic is on %s at\n%s\nwant crash, in world_test.go", p.Message, p.Stack)
		}
	})
}
