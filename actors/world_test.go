package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// count is the state of most test workflows.
type count struct {
	N     int      `json:"n"`
	Trail []string `json:"trail,omitempty"`
}

// add is a step that leaves its name in the trail.
func add(name string) workflow.Step[count] {
	return workflow.Do(name, func(_ context.Context, s *count) error {
		s.N++
		s.Trail = append(s.Trail, name)
		return nil
	})
}

// gate is a step that a test opens. Its body ends with its context, unless it
// is stubborn.
type gate struct {
	name     string
	stubborn bool
	opened   chan struct{}
	entered  atomic.Int32 // attempts that began
	inside   atomic.Int32 // attempts under way
	most     atomic.Int32 // of inside, ever
	ended    atomic.Int32 // attempts whose context was cancelled
}

// newGate makes a gate that opens at the latest when the test ends.
func newGate(t testing.TB, name string) *gate {
	g := &gate{name: name, opened: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() {
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) step() workflow.Step[count] {
	return workflow.Do(g.name, func(ctx context.Context, s *count) error {
		g.entered.Add(1)
		inside := g.inside.Add(1)
		defer g.inside.Add(-1)
		for most := g.most.Load(); inside > most && !g.most.CompareAndSwap(most, inside); most = g.most.Load() {
		}
		select {
		case <-g.opened:
		case <-ctx.Done():
			g.ended.Add(1)
			if !g.stubborn {
				return ctx.Err()
			}
			<-g.opened
		}
		s.N++
		s.Trail = append(s.Trail, g.name)
		return nil
	})
}

// faultyStore is a memory store that a test disturbs.
type faultyStore struct {
	*memory.Store
	mu      sync.Mutex
	before  func([]persistence.Write) error
	after   func([]persistence.Write) error
	sweep   func() error
	batches int
}

func newFaultyStore() *faultyStore {
	pass := func([]persistence.Write) error { return nil }
	return &faultyStore{Store: memory.New(), before: pass, after: pass, sweep: func() error { return nil }}
}

// beforeCommit sets what happens before a batch is applied; an error keeps it
// from being applied.
func (s *faultyStore) beforeCommit(f func([]persistence.Write) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// afterCommit sets what happens after a batch was applied; an error is what the
// caller sees.
func (s *faultyStore) afterCommit(f func([]persistence.Write) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

// duringSweep sets what happens in a sweep after it has read; an error is what
// the caller sees.
func (s *faultyStore) duringSweep(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep = f
}

// restore ends all disturbance.
func (s *faultyStore) restore() {
	pass := func([]persistence.Write) error { return nil }
	s.beforeCommit(pass)
	s.afterCommit(pass)
	s.duringSweep(func() error { return nil })
}

// committed counts the batches so far.
func (s *faultyStore) committed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches
}

func (s *faultyStore) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	s.mu.Lock()
	before, after := s.before, s.after
	s.batches++
	s.mu.Unlock()
	if err := before(batch); err != nil {
		return nil, err
	}
	verdicts, err := s.Store.Commit(ctx, batch)
	if err == nil {
		err = after(batch)
	}
	return verdicts, err
}

func (s *faultyStore) Backlog(ctx context.Context, known []persistence.Definition) ([]persistence.Backlog, error) {
	s.mu.Lock()
	sweep := s.sweep
	s.mu.Unlock()
	backlog, err := s.Store.Backlog(ctx, known)
	return backlog, errors.Join(err, sweep())
}

// has finds a write of one kind for which ok holds.
func has[W persistence.Write](batch []persistence.Write, ok func(W) bool) bool {
	return slices.ContainsFunc(batch, func(write persistence.Write) bool {
		w, is := write.(W)
		return is && ok(w)
	})
}

// every is a condition for [has] that holds always.
func every[W persistence.Write](W) bool { return true }

// finishes tells the commit of a step from others.
func finishes(step string) func(persistence.Advance) bool {
	return func(w persistence.Advance) bool {
		return w.Entry != nil && w.Entry.Step == step && w.Entry.Outcome == workflow.StepCompleted
	}
}

var errDown = errors.Join(workflow.ErrUnavailable, errors.New("the disk is full"))

// Kinds of errors, for tables.
func isInput(err error) bool          { return errors.As(err, new(*workflow.InputError)) }
func isLimit(err error) bool          { return errors.As(err, new(*workflow.LimitError)) }
func isPanic(err error) bool          { return errors.As(err, new(*workflow.PanicError)) }
func isUnknownMessage(err error) bool { return errors.As(err, new(*workflow.UnknownMessageError)) }

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

// inBubble runs a story in a bubble of its own, where time passes only while
// everybody waits, and where a goroutine that outlives the story fails it.
func inBubble(t *testing.T, story func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) }) // protoactor counts late messages for a while
		story(t)
	})
}

// textLog writes everything that is logged to a string.
func textLog(to *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// startNode runs a node on a store until the test ends, and returns when it has
// nothing more to do. It is for tests in a bubble.
func startNode(t testing.TB, store persistence.Store, cfg Config, definitions ...workflow.Definition) *Node {
	t.Helper()
	node := openNode(t, store, cfg, definitions...)
	synctest.Wait()
	return node
}

// openNode runs a node on a store until the test ends.
func openNode(t testing.TB, store persistence.Store, cfg Config, definitions ...workflow.Definition) *Node {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	node, err := NewNode(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range definitions {
		if err := node.Register(definition); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(t, node) })
	return node
}

// stopNode drains a node for up to ten seconds.
func stopNode(t testing.TB, node *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := node.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// die ends a node as kill -9 would, but for its goroutines: nothing more of it
// reaches the store.
func die(t testing.TB, store *memory.Store, node *Node) {
	t.Helper()
	if err := store.Leave(t.Context(), node.standing.boot().ID); err != nil {
		t.Fatal(err)
	}
}

// start starts a run of w that is expected to be taken.
func start[Out any](t testing.TB, node *Node, w *workflow.Workflow[count, Out]) *workflow.Handle[Out] {
	t.Helper()
	return startWith(t, node, w, workflow.Options{})
}

func startWith[Out any](t testing.TB, node *Node, w *workflow.Workflow[count, Out], options workflow.Options) *workflow.Handle[Out] {
	t.Helper()
	run, err := w.StartWith(t.Context(), node, count{}, options)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// finish waits for a run that is expected to complete.
func finish[Out any](t testing.TB, run *workflow.Handle[Out]) Out {
	t.Helper()
	out, err := run.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fails waits for a run that is expected not to complete.
func fails[Out any](t testing.TB, run *workflow.Handle[Out]) workflow.RunError {
	t.Helper()
	_, err := run.Wait(t.Context())
	var ended *workflow.RunError
	if !errors.As(err, &ended) {
		t.Fatalf("run ended with %v, want a RunError", err)
	}
	return *ended
}

// read returns a run as its row tells.
func read(t testing.TB, node *Node, id workflow.RunID) workflow.Run {
	t.Helper()
	run, err := node.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func wantState(t testing.TB, node *Node, id workflow.RunID, want workflow.State) workflow.Run {
	t.Helper()
	run := read(t, node, id)
	if run.State != want {
		t.Fatalf("run is %s (error %q, reason %q), want %s", run.State, run.Error, run.Reason, want)
	}
	return run
}

// history returns the names of a run's finished turns and failed attempts in order.
func history(t testing.TB, node *Node, id workflow.RunID) []string {
	t.Helper()
	steps, err := node.Steps(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, step := range steps {
		lines = append(lines, step.Step+" "+string(step.Outcome))
	}
	return lines
}

// inMemory reports whether a run has an actor.
func inMemory(node *Node, id workflow.RunID) bool {
	return slices.Contains(node.runsInMemory(), id)
}

// crash makes an actor panic in Receive.
func crash(node *Node, name string) {
	closed := make(chan workflow.Run)
	close(closed)
	var message any = queryRun{closed}
	if name == "dispatcher" {
		message = findRun{reply: closed}
	}
	node.system.Root.Send(node.pid(name), message)
}
