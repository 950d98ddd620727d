package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// binary is the program with its planted workflow, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ledger")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "ledger")
		build := exec.Command("go", "build", "-tags", "crashtest", "-o", binary, ".")
		if output, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, output)
			return 1
		}
		return m.Run()
	}())
}

// outside is the ledger that the killed processes leave their effects in.
type outside struct {
	*httptest.Server

	mu      sync.Mutex
	effects []Effect
	changed chan struct{} // closed and replaced at each effect
	hold    func(Effect) bool
}

func newOutside(t *testing.T) *outside {
	o := &outside{changed: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(o.handle))
	t.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

// handle notes an effect and answers it; what hold selects is noted and never
// answered, so that its step stays in flight.
func (o *outside) handle(w http.ResponseWriter, r *http.Request) {
	var effect Effect
	if err := json.NewDecoder(r.Body).Decode(&effect); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	o.effects = append(o.effects, effect)
	close(o.changed)
	o.changed = make(chan struct{})
	held := o.hold != nil && o.hold(effect)
	o.mu.Unlock()
	if held {
		<-r.Context().Done()
		return
	}
	fmt.Fprint(w, "receipt for ", effect.Key)
}

// await blocks until the effects so far satisfy the condition.
func (o *outside) await(t *testing.T, what string, satisfied func([]Effect) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		o.mu.Lock()
		done, changed := satisfied(o.effects), o.changed
		o.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (o *outside) all() []Effect {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.effects)
}

func (o *outside) holdBack(hold func(Effect) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = hold
}

// process is one life of the program.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *strings.Builder
	runs messagesconnect.RunServiceClient
}

// launch starts the program on a data directory and returns when it serves.
func launch(t *testing.T, ledger *outside, dir string) *process {
	t.Helper()
	p := &process{t: t, log: &strings.Builder{}}
	p.cmd = exec.Command(binary, "-ledger", ledger.URL, "-data-dir", dir, "-http", "127.0.0.1:0")
	p.cmd.Stderr = p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		t.Fatalf("the program did not start: %v\n%s", err, p.log)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	p.runs = messagesconnect.NewRunServiceClient(http.DefaultClient, strings.TrimSpace(url))
	return p
}

// kill ends the process by SIGKILL and proves that it did.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	p.awaitKilled()
}

// awaitKilled waits for the end of the process, which must be by SIGKILL.
func (p *process) awaitKilled() {
	p.t.Helper()
	_ = p.cmd.Wait()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		p.t.Fatalf("the process ended with %s, not by SIGKILL\n%s", p.cmd.ProcessState, p.log)
	}
}

// stop ends the process by SIGTERM, in order.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("the program did not stop in order: %v\n%s", err, p.log)
	}
}

// start starts a run and returns once it is acknowledged.
func (p *process) start(name string, id workflow.RunID, transfer Transfer) error {
	input, err := json.Marshal(transfer)
	if err != nil {
		return err
	}
	_, err = p.runs.StartRun(p.t.Context(), &messages.StartRunRequest{
		Workflow: name, InputJson: string(input), Id: id.String(),
	})
	return err
}

// awaitEnd waits until the run has ended and returns it.
func (p *process) awaitEnd(id workflow.RunID) *messages.Run {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	events, err := p.runs.WatchRun(ctx, &messages.WatchRunRequest{Id: id.String()})
	if err != nil {
		p.t.Fatal(err)
	}
	defer events.Close()
	for events.Receive() {
	}
	if err := events.Err(); err != nil {
		p.t.Fatalf("watch run %s: %v\n%s", id, err, p.log)
	}
	run, err := p.runs.GetRun(ctx, &messages.GetRunRequest{Id: id.String()})
	if err != nil {
		p.t.Fatal(err)
	}
	return run.GetRun()
}

var kinds = []string{"reserve", "debit", "credit", "confirm"}

func TestKilledInAnyStepTheTransferGoesOnAtThatStep(t *testing.T) {
	t.Parallel()
	for _, killedIn := range kinds {
		t.Run(killedIn, func(t *testing.T) {
			t.Parallel()
			ledger, dir := newOutside(t), t.TempDir()
			ledger.holdBack(func(e Effect) bool { return e.Kind == killedIn })
			first := launch(t, ledger, dir)
			id := workflow.NewRunID()
			if err := first.start("transfer", id, Transfer{ID: "t1", From: "a", To: "b", Cents: 5}); err != nil {
				t.Fatal(err)
			}
			ledger.await(t, "the step "+killedIn, func(effects []Effect) bool {
				return len(effects) > 0 && effects[len(effects)-1].Kind == killedIn
			})
			first.kill()

			ledger.holdBack(nil)
			second := launch(t, ledger, dir)
			run := second.awaitEnd(id)
			if run.GetState() != string(workflow.Completed) {
				t.Fatalf("run is %s: %s", run.GetState(), run.GetError())
			}
			second.stop()

			var want []string
			for _, kind := range kinds {
				want = append(want, kind)
				if kind == killedIn {
					want = append(want, kind) // the step in flight, and no other, runs twice
				}
			}
			var got []string
			for _, effect := range ledger.all() {
				got = append(got, effect.Kind)
			}
			if !slices.Equal(got, want) {
				t.Errorf("effects %v, want %v", got, want)
			}
			if keys := keysOf(ledger.all()); keys != len(kinds) {
				t.Errorf("%d idempotency keys for %d steps", keys, len(kinds))
			}
		})
	}
}

func keysOf(effects []Effect) int {
	keys := map[string]bool{}
	for _, effect := range effects {
		keys[effect.Key] = true
	}
	return len(keys)
}

// TestKilledFiftyTimesUnderLoad kills the process at random moments, each time
// after every unfinished run has passed a checkpoint since the last kill.
func TestKilledFiftyTimesUnderLoad(t *testing.T) {
	t.Parallel()
	const kills, batch = 50, 24
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	ledger, dir := newOutside(t), t.TempDir()
	audit := newAudit(ledger)
	var acknowledged []workflow.RunID

	p := launch(t, ledger, dir)
	for range kills {
		for range batch {
			id := workflow.NewRunID()
			if err := p.start("transfer", id, Transfer{ID: id.String(), From: "a", To: "b", Cents: 1}); err != nil {
				t.Fatalf("start: %v\n%s", err, p.log)
			}
			acknowledged = append(acknowledged, id)
		}
		audit.awaitProgress(t, p, acknowledged)
		// More load, to be killed in the middle of.
		starts := make(chan []workflow.RunID)
		go func() { starts <- p.startUntilKilled(batch) }()
		killer := time.NewTimer(time.Duration(random.Int64N(int64(15 * time.Millisecond))))
		<-killer.C
		p.kill()
		acknowledged = append(acknowledged, <-starts...)
		audit.killed(p.cmd.Process.Pid)
		p = launch(t, ledger, dir)
	}
	for _, id := range acknowledged {
		if run := p.awaitEnd(id); run.GetState() != string(workflow.Completed) {
			t.Errorf("run %s is %s: %s", id, run.GetState(), run.GetError())
		}
	}
	p.stop()
	audit.check(t, acknowledged)
	t.Logf("%d runs, %d effects, %d of them repeated by %d kills", len(acknowledged), len(ledger.all()), audit.repeated(), kills)
}

// startUntilKilled starts runs until one is not acknowledged.
func (p *process) startUntilKilled(most int) []workflow.RunID {
	var acknowledged []workflow.RunID
	for range most {
		id := workflow.NewRunID()
		if err := p.start("transfer", id, Transfer{ID: id.String(), From: "a", To: "b", Cents: 1}); err != nil {
			break
		}
		acknowledged = append(acknowledged, id)
	}
	return acknowledged
}

func TestRunThatKillsItsProcessIsQuarantinedAndNoOther(t *testing.T) {
	t.Parallel()
	ledger, dir := newOutside(t), t.TempDir()
	// The bystanders stay in their step until the poison is gone.
	ledger.holdBack(func(e Effect) bool { return e.Kind == "debit" })
	p := launch(t, ledger, dir)
	var bystanders []workflow.RunID
	for i := range 5 {
		id := workflow.NewRunID()
		if err := p.start("transfer", id, Transfer{ID: fmt.Sprint("t", i), From: "a", To: "b", Cents: 1}); err != nil {
			t.Fatal(err)
		}
		bystanders = append(bystanders, id)
	}
	poison := workflow.NewRunID()
	if err := p.start("poison", poison, Transfer{ID: "p", From: "a", To: "b", Cents: 1}); err != nil {
		t.Fatal(err)
	}
	for death := 1; death <= 3; death++ {
		ledger.await(t, fmt.Sprintf("death %d", death), func(effects []Effect) bool { return count(effects, "die") == death })
		p.awaitKilled()
		if death == 2 {
			ledger.holdBack(nil) // from now on each run has the process to itself
		}
		p = launch(t, ledger, dir)
	}
	if run := p.awaitEnd(poison); run.GetState() != string(workflow.Quarantined) {
		t.Errorf("the run that kills is %s, want quarantined", run.GetState())
	}
	for _, id := range bystanders {
		if run := p.awaitEnd(id); run.GetState() != string(workflow.Completed) {
			t.Errorf("bystander %s is %s: %s", id, run.GetState(), run.GetError())
		}
	}
	p.stop()
	if deaths := count(ledger.all(), "die"); deaths != 3 {
		t.Errorf("the step that kills ran %d times, want 3", deaths)
	}
}

func count(effects []Effect, kind string) int {
	n := 0
	for _, effect := range effects {
		if effect.Kind == kind {
			n++
		}
	}
	return n
}
