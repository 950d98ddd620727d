package supervisor_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

var silent = slog.New(slog.DiscardHandler)

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return silent }))
}

// A world is an actor system in a synctest bubble, and the notes that its actors
// take. Time passes only when the test says so, and everything that can happen has
// happened when settle returns.
type world struct {
	*testing.T

	system *actor.ActorSystem

	mu    sync.Mutex
	notes []string
}

// inWorld runs test in a world of its own.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, system: newSystem()}
		// A goroutine of protoactor's counts dead letters for a second.
		t.Cleanup(func() { w.pass(time.Second) })
		test(w)
	})
}

func (w *world) notef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// settle waits until nothing happens any more.
func (w *world) settle() { synctest.Wait() }

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// expect settles and checks what was noted since the last call.
func (w *world) expect(want ...string) {
	w.Helper()
	w.settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.notes, want) {
		w.Errorf("noted %q, want %q", w.notes, want)
	}
	w.notes = nil
}

// expectAnyOrder is expect where the order is nobody's business.
func (w *world) expectAnyOrder(want ...string) {
	w.Helper()
	w.settle()
	w.mu.Lock()
	slices.Sort(w.notes)
	w.mu.Unlock()
	w.expect(slices.Sorted(slices.Values(want))...)
}

// start starts a tree and stops it at the end of the test.
func (w *world) start(cfg supervisor.Config, children ...supervisor.Child) *supervisor.Tree {
	w.Helper()
	tree, err := supervisor.Start(w.Context(), w.system, "root", quiet(cfg), children...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { w.stop(tree) })
	return tree
}

func (w *world) stop(tree *supervisor.Tree) {
	w.Helper()
	if err := tree.Stop(context.WithoutCancel(w.Context())); err != nil {
		w.Error(err)
	}
}

func (w *world) send(pid *actor.PID, msg any) {
	w.Helper()
	if pid == nil {
		w.Fatalf("no actor to send %T to", msg)
	}
	w.system.Root.Send(pid, msg)
}

func (w *world) describe(tree *supervisor.Tree) supervisor.Node {
	w.Helper()
	w.settle()
	n, err := tree.Describe(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// quiet makes cfg log nothing, and back off without jitter where that is a matter
// of the children.
func quiet(cfg supervisor.Config) supervisor.Config {
	cfg.Logger = silent
	return cfg
}

// What the tests tell their actors to do.
type (
	crash struct{ why any }
	quit  struct{}
	block struct{ until <-chan struct{} }
	greet struct{ word string }
)

// temper is what an actor does at the turns of its life. A nil func does nothing.
type temper struct {
	starting, stopping, stopped func(start int)
}

// child returns a child that notes the turns of its life and obeys the messages
// above.
func (w *world) child(name string, tempers ...temper) supervisor.Child {
	do := func(turn func(temper) func(int), start int) {
		for _, t := range tempers {
			if f := turn(t); f != nil {
				f(start)
			}
		}
	}
	return supervisor.Child{Name: name, Backoff: noJitter, Props: func(start int) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			switch msg := ctx.Message().(type) {
			case *actor.Started:
				if start == 0 {
					w.notef("%s starts", name)
				} else {
					w.notef("%s restarts #%d", name, start)
				}
				do(func(t temper) func(int) { return t.starting }, start)
			case *actor.Stopping:
				w.notef("%s stops", name)
				do(func(t temper) func(int) { return t.stopping }, start)
			case *actor.Stopped:
				do(func(t temper) func(int) { return t.stopped }, start)
			case crash:
				panic(msg.why)
			case quit:
				ctx.Stop(ctx.Self())
			case block:
				<-msg.until
			case greet:
				w.notef("%s hears %s", name, msg.word)
			}
		})
	}}
}

var noJitter = supervisor.Backoff{Jitter: -1}

// branch makes a child of a supervisor.
func branch(name string, cfg supervisor.Config, children ...supervisor.Child) supervisor.Child {
	return supervisor.Child{Name: name, Backoff: noJitter, Props: func(int) *actor.Props {
		return supervisor.Props(quiet(cfg), children...)
	}}
}

// panics returns a turn that panics in the incarnations for which when says so.
func panics(when func(start int) bool) func(int) {
	return func(start int) {
		if when(start) {
			panic("boom")
		}
	}
}

func always(int) bool            { return true }
func atFirst(start int) bool     { return start == 0 }
func until(n int) func(int) bool { return func(start int) bool { return start < n } }
