package supervisor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
)

func TestStartNamesTheChildThatCannotStart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, err := supervisor.Start(w.Context(), w.system, "root", quiet(supervisor.Config{MaxRestarts: 2}),
			w.child("a"), w.child("b", temper{starting: panics(always)}), w.child("c"))
		if !errors.Is(err, supervisor.ErrIntensity) || !strings.Contains(err.Error(), `child "b"`) || !strings.Contains(err.Error(), "boom") {
			w.Errorf("Start says %v, want ErrIntensity, the child and its failure", err)
		}
		w.expect("a starts", "b starts", "b stops", "b restarts #1", "b stops", "b restarts #2", "b stops", "a stops")
	})
}

func TestStartStopsWhatItStartedWhenItsContextIsOver(t *testing.T) {
	t.Parallel()
	gate := func(w *world) temper {
		return temper{starting: func(int) { <-w.Context().Done() }}
	}
	tests := []struct {
		name  string
		late  func(w *world) supervisor.Child
		want  string
		notes []string
	}{
		{
			"blocked", func(w *world) supervisor.Child { return w.child("late", gate(w)) },
			`child "late" is starting`,
			[]string{"a starts", "late starts", "a stops"},
		},
		{
			"below", func(w *world) supervisor.Child {
				return branch("b", supervisor.Config{}, w.child("late", gate(w)))
			},
			`child "b/late" is starting`,
			[]string{"a starts", "late starts", "a stops"},
		},
		{
			"failing", func(w *world) supervisor.Child { return w.child("late", temper{starting: panics(always)}) },
			`child "late" is backing off after panic on *actor.Started: boom`,
			[]string{"a starts", "late starts", "late stops", "a stops"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) {
				ctx, cancel := context.WithTimeout(w.Context(), 50*time.Millisecond)
				defer cancel()
				_, err := supervisor.Start(ctx, w.system, "root", quiet(supervisor.Config{}), w.child("a"), tt.late(w), w.child("z"))
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), tt.want) {
					w.Errorf("Start says %v, want the context's error and %q", err, tt.want)
				}
				w.expect(tt.notes...)
			})
		})
	}
}

func TestStartRefusesWhatIsInvalidAllAtOnce(t *testing.T) {
	t.Parallel()
	props := func(int) *actor.Props { return nil }
	_, err := supervisor.Start(t.Context(), newSystem(), "root",
		supervisor.Config{Strategy: 7, Window: -1},
		supervisor.Child{},
		supervisor.Child{Name: "twin", PID: "id", Props: props},
		supervisor.Child{Name: "twin", PID: "id", Props: props, Restart: -1, Shutdown: -1},
		supervisor.Child{Name: "hasty", Props: props, Backoff: supervisor.Backoff{Min: -1, Max: -2, Factor: 0.5, Jitter: 2}},
	)
	if err == nil {
		t.Fatal("Start takes an invalid configuration")
	}
	for _, want := range []string{
		"Strategy(7)", "invalid Window -1ns",
		`child "": no Name`, "no Props",
		"Restart(-1)", "invalid Shutdown -1ns", "another child has this Name", `another child has the PID "id"`,
		"Backoff.Min -1ns", "Backoff.Max -2ns", "Backoff.Factor 0.5", "Backoff.Jitter 2",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestPropsPanicWhenInvalid(t *testing.T) {
	t.Parallel()
	for name, props := range map[string]func() *actor.Props{
		"Props":     func() *actor.Props { return supervisor.Props(supervisor.Config{Window: -1}) },
		"PoolProps": func() *actor.Props { return supervisor.PoolProps(supervisor.PoolConfig{Shutdown: -1}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("panicked with %v, want an error that names %s", err, name)
				}
			}()
			props()
		})
	}
}

func TestStartRefusesATakenName(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.start(supervisor.Config{})
		if _, err := supervisor.Start(w.Context(), w.system, "root", quiet(supervisor.Config{})); !errors.Is(err, actor.ErrNameExists) {
			w.Errorf("the second Start says %v, want ErrNameExists", err)
		}
	})
}

func TestNameIsFreeAfterStop(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.stop(w.start(supervisor.Config{}, w.child("a")))
		w.start(supervisor.Config{}, w.child("a"))
		w.expect("a starts", "a stops", "a starts")
	})
}

func TestStopMayBeCalledTwice(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{}, w.child("a"))
		go w.stop(tree)
		w.stop(tree)
		w.stop(tree)
		<-tree.Done()
		if err := tree.Err(); err != nil {
			w.Errorf("Err is %v after a stop, want nil", err)
		}
		w.expect("a starts", "a stops")
	})
}

func TestStopReturnsWithItsContextAndGoesOn(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		defer close(gate)
		tree := w.start(supervisor.Config{}, w.child("a"), w.child("b"))
		w.send(tree.Child("b"), block{gate})
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if err := tree.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("Stop says %v, want the context's error", err)
		}
		<-tree.Done()
		w.expect("a starts", "b starts", "a stops")
	})
}

func TestErrIsNilWhileTheRootRuns(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{})
		if err := tree.Err(); err != nil {
			w.Errorf("Err is %v, want nil", err)
		}
	})
}

func TestChildIsFoundByItsPath(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{},
			branch("b", supervisor.Config{}, w.child("leaf")), w.child("down"), w.child("leaf"))
		w.send(tree.Child("down"), crash{"boom"})
		w.settle()
		for path, want := range map[string]string{
			"":            "root",
			"b":           "root/b",
			"leaf":        "root/leaf",
			"b leaf":      "root/b/leaf",
			"down":        "",
			"nobody":      "",
			"b nobody":    "",
			"leaf nobody": "",
		} {
			got := ""
			if pid := tree.Child(strings.Fields(path)...); pid != nil {
				got = pid.Id
			}
			if got != want {
				w.Errorf("path %q leads to %q, want %q", path, got, want)
			}
		}
	})
}

func TestDescribeTellsTheStateOfEachChild(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		gate := make(chan struct{})
		busy, done := w.child("busy"), w.child("done")
		done.Restart = supervisor.Transient
		tree := w.start(supervisor.Config{}, busy, done, w.child("down"),
			branch("rest", supervisor.Config{Strategy: supervisor.RestForOne}, w.child("first"), w.child("second"), w.child("third")),
		)
		w.send(tree.Child("busy"), block{gate})
		w.send(tree.Child("busy"), greet{"one"})
		w.send(tree.Child("busy"), greet{"two"})
		w.send(tree.Child("done"), quit{})
		w.send(tree.Child("down"), crash{"boom"})
		w.send(tree.Child("rest", "third"), block{gate})
		w.send(tree.Child("rest", "first"), crash{"boom"})

		n := w.describe(tree)
		rest := n.Children[3]
		for _, tt := range []struct {
			node supervisor.Node
			want supervisor.State
			kind string
		}{
			{n, supervisor.Running, "one_for_one"},
			{n.Children[0], supervisor.Running, "actor"},
			{n.Children[1], supervisor.Stopped, "actor"},
			{n.Children[2], supervisor.BackingOff, "actor"},
			{rest, supervisor.Running, "rest_for_one"},
			{rest.Children[0], supervisor.BackingOff, "actor"},
			{rest.Children[1], supervisor.Running, "actor"}, // it is stopped after the third
			{rest.Children[2], supervisor.Stopping, "actor"},
		} {
			if tt.node.State != tt.want || tt.node.Kind != tt.kind {
				w.Errorf("%s is a %s that is %s, want a %s that is %s", tt.node.Name, tt.node.Kind, tt.node.State, tt.kind, tt.want)
			}
		}
		if got, want := n.Children[0].Mailbox, 2; got != want {
			w.Errorf("%d messages wait for busy, want %d", got, want)
		}
		if got := n.Children[2]; got.LastFailure != "panic on supervisor_test.crash: boom" || !got.LastFailureAt.Equal(time.Now()) {
			w.Errorf("down failed at %s by %q, want now, by its panic", got.LastFailureAt, got.LastFailure)
		}
		close(gate)
		w.pass(time.Second)
		if got := w.describe(tree).Children[2]; got.Restarts != 1 || got.State != supervisor.Running {
			w.Errorf("down is %s after %d restarts, want it to run after one", got.State, got.Restarts)
		}
	})
}

func TestDescribeFailsWhenTheTreeHasStopped(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		tree := w.start(supervisor.Config{})
		w.stop(tree)
		if _, err := tree.Describe(w.Context()); err == nil {
			w.Error("Describe finds a tree that has stopped")
		}
	})
}
