package singularity_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity"
	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// tally is the state of the test workflows.
type tally struct {
	Steps []string `json:"steps,omitempty"`
}

func note(name string) workflow.Step[tally] {
	return workflow.Do(name, func(_ context.Context, t *tally) error {
		t.Steps = append(t.Steps, name)
		return nil
	})
}

var quiet = slog.New(slog.DiscardHandler)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// within tries again until something has taken no longer than the limit, as it
// does before long even on a machine that is busy with more.
func within(t *testing.T, limit time.Duration, try func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for begun := time.Now(); time.Since(begun) < patience; {
		last := try()
		if took = append(took, last); last <= limit {
			return
		}
	}
	t.Errorf("it took %s, want %s at most, once", took, limit)
}

func open(t *testing.T, cfg singularity.Config, definitions ...workflow.Definition) *singularity.Engine {
	t.Helper()
	cfg.Logger = cmp.Or(cfg.Logger, quiet)
	engine, err := singularity.Open(t.Context(), cfg, definitions...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeEngine(t, engine) })
	return engine
}

func closeEngine(t *testing.T, engine *singularity.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := engine.Close(ctx); err != nil {
		t.Error(err)
	}
}

// wait returns a run's output, or fails with where the run stands.
func wait(t *testing.T, engine *singularity.Engine, run *workflow.Handle[tally]) tally {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := run.Wait(ctx)
	if err != nil {
		row, readErr := engine.Run(t.Context(), run.ID())
		t.Fatalf("%v; the run is %+v, %v", err, row, readErr)
	}
	return out
}

func Example() {
	type greeting struct {
		Name string `json:"name"`
		Text string `json:"text,omitempty"`
	}
	hello := workflow.New("hello", workflow.Do("greet", func(_ context.Context, g *greeting) error {
		g.Text = "Hello, " + g.Name + "!"
		return nil
	}))

	ctx := context.Background()
	dir, err := os.MkdirTemp("", "singularity")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	engine, err := singularity.Open(ctx, singularity.Config{DataDir: dir}, hello)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close(ctx)

	run, err := hello.Start(ctx, engine, greeting{Name: "Ada"})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := run.Wait(ctx)
	fmt.Println(out.Text, err)
	// Output: Hello, Ada! <nil>
}

func TestClosedEngineHandsItsRunsToTheNextOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entered, resume := make(chan struct{}, 1), make(chan struct{})
	waits := workflow.Do("wait", func(ctx context.Context, t *tally) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		select {
		case <-resume:
			t.Steps = append(t.Steps, "wait")
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	three := workflow.New("three", note("first"), waits, note("last"))
	engine := open(t, singularity.Config{DataDir: dir}, three)
	run, err := three.Start(t.Context(), engine, tally{})
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	now, cancel := context.WithCancel(t.Context())
	cancel() // no patience: the step in flight is interrupted
	if err := engine.Close(now); err != nil {
		t.Fatal(err)
	}

	close(resume)
	second := open(t, singularity.Config{DataDir: dir}, three)
	again, err := three.Handle(t.Context(), second, run.ID())
	if err != nil {
		t.Fatal(err)
	}
	if out := wait(t, second, again); strings.Join(out.Steps, " ") != "first wait last" {
		t.Errorf("got %v; want each step once", out.Steps)
	}
	if row, err := second.Run(t.Context(), run.ID()); err != nil || row.Crashes != 0 {
		t.Errorf("a hand-over counts as %d crashes, %v", row.Crashes, err)
	}
}

func TestDirectoryInUseIsRefusedAndNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, singularity.Config{DataDir: dir}, workflow.New("one", note("one")))
	_, err := singularity.Open(t.Context(), singularity.Config{DataDir: dir, Logger: quiet})
	if !errors.Is(err, persistence.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error is %v; want ErrLocked with the directory", err)
	}
}

func TestDirectoryThatIsAFileIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if engine, err := singularity.Open(t.Context(), singularity.Config{DataDir: path, Logger: quiet}); err == nil {
		closeEngine(t, engine)
		t.Error("a file was taken for a directory")
	}
}

func TestRunsWaitForTheirWorkflowToBeRegistered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	later := workflow.New("later", note("one"))
	engine := open(t, singularity.Config{DataDir: dir}, later)
	due := time.Now().Add(200 * time.Millisecond)
	run, err := later.StartWith(t.Context(), engine, tally{}, workflow.Options{Due: due})
	if err != nil {
		t.Fatal(err)
	}
	closeEngine(t, engine)

	second := open(t, singularity.Config{DataDir: dir})
	if err := second.Register(later); err != nil {
		t.Fatal(err)
	}
	again, err := later.Handle(t.Context(), second, run.ID())
	if err != nil {
		t.Fatal(err)
	}
	wait(t, second, again)
	if early := time.Until(due); early > 0 {
		t.Errorf("it ended %s before it was due", early)
	}
}

func TestFaultsOfTheConfigurationAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := singularity.Open(t.Context(), singularity.Config{Logger: quiet, Queues: map[string]int{"a b": 1, "default": 0}})
	if err == nil || !strings.Contains(err.Error(), `"a b"`) || !strings.Contains(err.Error(), "default") {
		t.Errorf("error is %v; want both queues named", err)
	}
}

func TestActorTreeShowsWhatRuns(t *testing.T) {
	t.Parallel()
	engine := open(t, singularity.Config{}, workflow.New("one", note("one")))
	if err := engine.RegisterAgent(t.Context(), "echo", func(context.Context, workflow.Message) error { return nil }); err != nil {
		t.Fatal(err)
	}
	tree, err := engine.ActorTree(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	var visit func(*messages.Actor)
	visit = func(actor *messages.Actor) {
		names[actor.GetName()] = true
		for _, child := range actor.GetChildren() {
			visit(child)
		}
	}
	visit(tree)
	for _, name := range []string{"singularity", "journal", "dispatcher", "runs", "agents", "echo", "retention"} {
		if !names[name] {
			t.Errorf("the tree lacks %s: %v", name, names)
		}
	}
}

func TestOpenKeepsRunsInOnePlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	engine, err := singularity.Open(t.Context(), singularity.Config{DataDir: dir, DatabaseURL: "postgres://127.0.0.1:1/runs", Logger: quiet})
	if err == nil {
		closeEngine(t, engine)
		t.Fatal("Open took both a directory and a database")
	}
	for _, want := range []string{"DataDir", dir, "DatabaseURL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s named", err, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory has %v, %v, want nothing", entries, err)
	}
}

func TestOpenRefusesANegativeNumberOfWriters(t *testing.T) {
	t.Parallel()
	engine, err := singularity.Open(t.Context(), singularity.Config{JournalWriters: -1, Logger: quiet})
	if err == nil {
		closeEngine(t, engine)
		t.Fatal("Open took it")
	}
	if !strings.Contains(err.Error(), "-1 writers") {
		t.Errorf("got %v, want the number named", err)
	}
}
