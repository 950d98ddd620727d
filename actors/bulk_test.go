package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// counts are n inputs that tell their places.
func counts(n int) []count {
	inputs := make([]count, n)
	for i := range inputs {
		inputs[i].N = i
	}
	return inputs
}

func startMany[Out any](t testing.TB, node *Node, w *workflow.Workflow[count, Out], inputs []count, options workflow.Options) []*workflow.Handle[Out] {
	t.Helper()
	runs, err := w.StartMany(t.Context(), node, inputs, options)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func TestManyRunsBeginAtOnceAndInTheirOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var began order
		noting := began.noting()
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1}}, noting)
		at := time.Now()
		runs := startMany(t, node, noting, counts(40), workflow.Options{})
		var want []int
		for i, run := range runs {
			if run.Attached() {
				t.Errorf("run %d was there before", i)
			}
			if out := finish(t, run); out.N != i {
				t.Errorf("the handle at %d is of run %d", i, out.N)
			}
			want = append(want, i)
		}
		began.want(t, want...)
		if took := time.Since(at); took != 0 {
			t.Errorf("they waited for %s, want the dispatcher to be told", took)
		}
	})
}

func TestManyRunsThatAreDueLaterBeginThen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{}, workflow.New("one", add("one")))
		at := time.Now()
		request := func(delay time.Duration) workflow.StartRequest {
			return workflow.StartRequest{Workflow: "one", Input: []byte(`{}`), Options: workflow.Options{Delay: delay}}
		}
		runs, err := node.StartRuns(t.Context(), []workflow.StartRequest{request(2 * time.Hour), request(0), request(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for _, due := range []struct {
			place int
			after time.Duration
		}{{1, 0}, {2, time.Hour}, {0, 2 * time.Hour}} {
			run, err := runs[due.place].Wait(t.Context())
			if began := time.Since(at); err != nil || run.State != workflow.Completed || began != due.after {
				t.Errorf("run %d %s after %s (%v), want it completed after %s", due.place, run.State, began, err, due.after)
			}
		}
	})
}

func TestManyRunsAreStartedAllOrNone(t *testing.T) {
	t.Parallel()
	one := workflow.New("one", add("one"))
	keyed := workflow.New("keyed", add("one")).Key(func(s count) string { return strings.Join(s.Trail, "/") })
	fleeting := workflow.New("fleeting", add("one")).Durability(workflow.Ephemeral)
	good := workflow.StartRequest{Workflow: "one", Input: []byte(`{"n":1}`)}
	twice := good
	twice.ID = workflow.NewRunID()
	tests := map[string]struct {
		requests []workflow.StartRequest
		index    int
		want     func(error) bool
	}{
		"a bad input":          {[]workflow.StartRequest{good, {Workflow: "one", Input: []byte(`{"m":1}`)}}, 1, isInput},
		"an unknown workflow":  {[]workflow.StartRequest{good, good, {Workflow: "two", Input: []byte(`{}`)}}, 2, is(workflow.ErrUnknownWorkflow)},
		"an unknown queue":     {[]workflow.StartRequest{{Workflow: "one", Input: []byte(`{}`), Options: workflow.Options{Queue: "none"}}, good}, 0, isInput},
		"an ephemeral one":     {[]workflow.StartRequest{good, {Workflow: "fleeting", Input: []byte(`{}`)}}, 1, isInput},
		"an id twice":          {[]workflow.StartRequest{twice, good, twice}, 2, isInput},
		"a key that is no key": {[]workflow.StartRequest{good, {Workflow: "keyed", Input: []byte(`{"trail":["\u0000"]}`)}}, 1, isInput},
		"a key in use": {[]workflow.StartRequest{
			good, {Workflow: "keyed", Input: []byte(`{"trail":["a"],"n":1}`)}, {Workflow: "keyed", Input: []byte(`{"trail":["a"],"n":2}`)},
		}, 2, func(err error) bool { return errors.As(err, new(*workflow.KeyConflictError)) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				node := startNode(t, memory.New(), Config{}, one, keyed, fleeting)
				_, err := node.StartRuns(t.Context(), test.requests)
				refusal, _ := errors.AsType[*workflow.StartError](err)
				if refusal == nil || refusal.Index != test.index || !test.want(err) {
					t.Errorf("got %v, want the start at %d refused", err, test.index)
				}
				if page, err := node.Runs(t.Context(), workflow.Filter{}); err != nil || len(page.Runs) > 0 {
					t.Errorf("%d runs were started (%v), want none", len(page.Runs), err)
				}
			})
		})
	}
}

func TestTooManyRunsAtATimeAreRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := workflow.New("one", add("one"))
		node := startNode(t, memory.New(), Config{}, one)
		if _, err := one.StartMany(t.Context(), node, make([]count, workflow.MaxStarts+1), workflow.Options{}); !isInput(err) {
			t.Errorf("got %v, want them refused", err)
		}
		if runs := startMany(t, node, one, nil, workflow.Options{}); len(runs) > 0 {
			t.Errorf("no inputs started %d runs", len(runs))
		}
	})
}

func TestManyRunsWhoseStartIsRepeatedAreFound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := workflow.New("one", add("one"))
		node := startNode(t, memory.New(), Config{}, one)
		options := workflow.Options{ID: workflow.NewRunID()}
		first := startMany(t, node, one, counts(3), options)
		for i, again := range startMany(t, node, one, counts(5), options) {
			if again.Attached() != (i < 3) || i < 3 && again.ID() != first[i].ID() {
				t.Errorf("run %d is %s, attached %t", i, again.ID(), again.Attached())
			}
			finish(t, again)
		}
	})
}

// vague is a store whose bulk inserts land, and which cannot tell.
type vague struct{ *memory.Store }

func (v vague) InsertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	_, err := v.Store.InsertAll(ctx, inserts)
	return nil, errors.Join(err, fmt.Errorf("%w: the connection broke", workflow.ErrOutcomeUnknown))
}

func TestManyRunsBeginWhoseStoreCannotTell(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := workflow.New("one", add("one"))
		node := startNode(t, vague{memory.New()}, Config{}, one)
		id := workflow.NewRunID()
		if _, err := one.StartMany(t.Context(), node, counts(3), workflow.Options{ID: id}); !errors.Is(err, workflow.ErrOutcomeUnknown) {
			t.Fatalf("got %v, want %v", err, workflow.ErrOutcomeUnknown)
		}
		synctest.Wait()
		for i := range 3 {
			wantState(t, node, id.Offset(i), workflow.Completed)
		}
	})
}
