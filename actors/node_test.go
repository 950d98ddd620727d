package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestConfigNamesEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := NewNode(memory.New(), Config{Queues: map[string]int{"zero": 0, "no/name": 1}})
	if err == nil || !strings.Contains(err.Error(), "queue zero: limit 0") || !strings.Contains(err.Error(), `queue "no/name"`) {
		t.Errorf("got %v", err)
	}
	if _, err := NewNode(memory.New(), Config{Queues: map[string]int{}}); err == nil {
		t.Error("a node without queues is accepted")
	}
}

func TestBadStartIsRefusedByTheNameOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	type order struct {
		Count int    `json:"count"`
		Note  string `json:"note"`
	}
	accept := func(o order) (order, error) {
		if o.Count < 0 {
			return o, workflow.Invalid("count", "is negative")
		}
		if o.Count == 99 {
			panic("out of cheese")
		}
		return o, nil
	}
	same := func(o *order) order { return *o }
	step := workflow.Do("one", func(context.Context, *order) error { return nil })
	stored, passing := workflow.Define("stored", accept, same, step), workflow.Define("passing", accept, same, step).Durability(workflow.Ephemeral)
	tests := []struct {
		name     string
		workflow string
		input    string
		options  workflow.Options
		want     func(error) bool
		says     string
	}{
		{"unknown workflow", "strange", `{}`, workflow.Options{}, is(workflow.ErrUnknownWorkflow), "registered are passing, stored"},
		{"no input", "stored", ``, workflow.Options{}, isInput, "empty"},
		{"no JSON", "stored", `{"count":`, workflow.Options{}, isInput, "not JSON"},
		{"unknown field", "stored", `{"cuont":1}`, workflow.Options{}, isInput, `"cuont"`},
		{"wrong type", "stored", `{"count":"one"}`, workflow.Options{}, isInput, `"count" must be an integer`},
		{"refused value", "stored", `{"count":-1}`, workflow.Options{}, isInput, `"count" is negative`},
		{"panic of accept", "stored", `{"count":99}`, workflow.Options{}, isPanic, "out of cheese"},
		{"large input", "stored", `{"note":"` + strings.Repeat("x", workflow.MaxInput) + `"}`, workflow.Options{}, isLimit, "the limit is 1048576"},
		{"priority 10", "stored", `{}`, workflow.Options{Priority: 10}, isInput, `"priority" is 10`},
		{"priority -1", "stored", `{}`, workflow.Options{Priority: -1}, isInput, `"priority" is -1`},
		{"unknown queue", "stored", `{}`, workflow.Options{Queue: "strange"}, isInput, `"queue" is "strange"`},
		{"long key", "stored", `{}`, workflow.Options{Key: strings.Repeat("x", workflow.MaxKey+1)}, isLimit, "key is 513 bytes"},
		{"key with a zero byte", "stored", `{}`, workflow.Options{Key: "a\x00b"}, isInput, `"key" is not text`},
		{"key that is no text", "stored", `{}`, workflow.Options{Key: "\xff"}, isInput, `"key" is not text`},
		{"ephemeral with a key", "passing", `{}`, workflow.Options{Key: "k"}, isInput, `"key" cannot be given`},
		{"ephemeral, due later", "passing", `{}`, workflow.Options{Due: time.Now()}, isInput, `"due" cannot be given`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store := newFaultyStore()
				node := startNode(t, store, Config{}, stored, passing)
				store.beforeCommit(func(batch []persistence.Write) error {
					t.Errorf("%d writes for a start that is refused", len(batch))
					return nil
				})
				_, err := node.StartRun(t.Context(), workflow.StartRequest{Workflow: test.workflow, Input: []byte(test.input), Options: test.options})
				if err == nil || !test.want(err) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, want one saying %q", err, test.says)
				}
				synctest.Wait()
			})
		})
	}
}

func TestRegisterRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	node, err := NewNode(memory.New(), Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	counting := workflow.New("counting", add("one"))
	keyed := workflow.New("keyed", add("one")).Key(func(count) string { return "k" }).Durability(workflow.Ephemeral)
	if err := node.Register(keyed); err == nil || !strings.Contains(err.Error(), "ephemeral") {
		t.Errorf("an ephemeral workflow with a key: %v", err)
	}
	if err := node.Register(counting, workflow.New("other", add("one"))); err == nil {
		t.Error("two workflows are taken for versions of one")
	}
	if err := node.Register(workflow.New("singularity.counting", add("one"))); err == nil || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("a name of the system's own: %v", err)
	}
	if err := node.Register(counting); err != nil {
		t.Fatal(err)
	}
	if err := node.Register(counting.Version(2)); err == nil || !strings.Contains(err.Error(), "registered already") {
		t.Errorf("a second register: %v", err)
	}
	if got := node.Workflows(); len(got) != 1 || got[0].Name != "counting" || got[0].Version != 1 {
		t.Errorf("workflows are %+v", got)
	}
}

// brokenStore takes nobody's runs back.
type brokenStore struct{ *memory.Store }

func (brokenStore) Reassign(context.Context, int) (persistence.Reassigned, error) {
	return persistence.Reassigned{}, errDown
}

func TestNodeThatCannotStartLeavesTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := brokenStore{memory.New()}
		node, err := NewNode(store, Config{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Start(t.Context()); !errors.Is(err, workflow.ErrUnavailable) {
			t.Fatalf("start answered %v", err)
		}
		if err := store.Join(t.Context(), node.standing.boot()); !errors.Is(err, persistence.ErrFenced) {
			t.Errorf("the boot is still a member: %v", err)
		}
		if err := node.Stop(t.Context()); err != nil {
			t.Errorf("stop answered %v", err)
		}
	})
}

func TestNodeFailsWithItsTree(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		counting := workflow.New("counting", add("one"))
		node := startNode(t, store, Config{}, counting)
		store.beforeCommit(func([]persistence.Write) error { panic("the driver is haunted") })
		for node.Err() == nil {
			_, _ = counting.Start(t.Context(), node, count{})
			time.Sleep(time.Second)
		}
		if err := node.Err(); !strings.Contains(err.Error(), "haunted") {
			t.Errorf("the node failed with %v", err)
		}
		if _, err := counting.Start(t.Context(), node, count{}); err == nil {
			t.Error("a failed node takes a start")
		}
	})
}

func TestReadinessFollowsTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, store, Config{}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		if err := node.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.beforeCommit(func([]persistence.Write) error { return errDown })
		hold.open()
		for range 5 {
			time.Sleep(time.Minute) // the checkpoint is tried all the time
			if err := node.Ready(t.Context()); !errors.Is(err, workflow.ErrUnavailable) {
				t.Errorf("ready in an outage: %v", err)
			}
		}
		if _, err := holding.Start(t.Context(), node, count{}); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("a start in an outage answered %v", err)
		}
		store.restore()
		finish(t, run)
		if err := node.Ready(t.Context()); err != nil {
			t.Errorf("not ready after the outage: %v", err)
		}
	})
}

// Nobody writes after the one start that failed, so that nothing would tell
// that the store is back.
func TestIdleNodeIsReadyAgainAfterAnOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		counting := workflow.New("counting", add("one"))
		node := startNode(t, store, Config{}, counting)
		store.beforeCommit(func([]persistence.Write) error { return errDown })
		if _, err := counting.Start(t.Context(), node, count{}); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("start answered %v", err)
		}
		if err := node.Ready(t.Context()); err == nil {
			t.Error("ready in an outage")
		}
		store.restore()
		time.Sleep(time.Minute)
		if err := node.Ready(t.Context()); err != nil {
			t.Errorf("not ready after the outage: %v", err)
		}
	})
}

func TestLateAnswersAreNotLogged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var log strings.Builder
		deaf := newGate(t, "deaf")
		deaf.stubborn = true
		telling := workflow.New("telling", workflow.Do("tell", func(context.Context, *count) error { return nil }),
			deaf.step().Timeout(time.Second).Retry(workflow.Retry{Attempts: 1}))
		node := startNode(t, memory.New(), Config{Logger: textLog(&log)}, telling)
		run, err := telling.Start(t.Context(), node, count{Trail: []string{"secret"}})
		if err != nil {
			t.Fatal(err)
		}
		fails(t, run)
		deaf.open()
		time.Sleep(time.Minute)
		stopNode(t, node)
		if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "DeadLetter") {
			t.Errorf("the log holds a run's state:\n%s", log.String())
		}
		if !strings.Contains(log.String(), "ignores its cancelled context") {
			t.Errorf("the log says nothing of the lost slot:\n%s", log.String())
		}
	})
}
