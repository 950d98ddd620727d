package soak

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// node is one process of the program.
type node struct {
	t      testing.TB
	cmd    *exec.Cmd
	log    *log
	url    string
	runs   messagesconnect.RunServiceClient
	actors messagesconnect.ActorServiceClient
	ready  time.Time
	said   chan string // has where the program is reached, once it says so
	ended  chan struct{}
}

// Hooks of the program, by environment variables. In the build with the tag
// faulttest they change what it does.
const (
	withoutFence     = "SINGULARITY_FAULT_FENCE_AFTER=1h"
	withoutEviction  = "SINGULARITY_FAULT_EVICTION=off"
	breakableNetwork = "SINGULARITY_FAULT_NETWORK=on"
)

// launch starts the program, by a command line, and returns when it takes work.
func launch(t testing.TB, command []string, hooks ...string) *node {
	t.Helper()
	n := begin(t, command, hooks...)
	n.awaitStart()
	return n
}

// begin starts the program.
func begin(t testing.TB, command []string, hooks ...string) *node {
	t.Helper()
	n := &node{t: t, log: &log{}, said: make(chan string, 1), ended: make(chan struct{})}
	n.cmd = exec.Command(command[0], command[1:]...)
	n.cmd.Env = append(os.Environ(), hooks...)
	n.cmd.Stderr = n.log
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(n.ended)
		lines := bufio.NewReader(stdout)
		if line, err := lines.ReadString('\n'); err == nil {
			n.said <- strings.TrimSpace(line)
		}
		_, _ = io.Copy(io.Discard, lines)
		_ = n.cmd.Wait()
	}()
	t.Cleanup(n.discard)
	return n
}

// awaitStart waits until the program takes work.
func (n *node) awaitStart() {
	n.t.Helper()
	select {
	case n.url = <-n.said:
	case <-n.ended:
		n.t.Fatalf("a node did not start: %s\n%s", n.cmd.ProcessState, n.log)
	}
	n.runs = messagesconnect.NewRunServiceClient(http.DefaultClient, n.url)
	n.actors = messagesconnect.NewActorServiceClient(http.DefaultClient, n.url)
	n.awaitReady()
	n.ready = time.Now()
}

// discard ends the process however it stands.
func (n *node) discard() {
	_ = n.cmd.Process.Kill()
	<-n.ended
	if n.t.Failed() {
		n.t.Logf("node %d printed at last:\n%s", n.pid(), n.log)
	}
}

func (n *node) pid() int { return n.cmd.Process.Pid }

func (n *node) alive() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// awaitReady waits until the node takes and runs work.
func (n *node) awaitReady() {
	n.t.Helper()
	await(n.t, func(ctx context.Context) (string, error) {
		if !n.alive() {
			n.t.Fatalf("node %d ended: %s\n%s", n.pid(), n.cmd.ProcessState, n.log)
		}
		answer, err := n.get(ctx, "/readyz")
		return answer, err
	})
}

// get asks for a page; its text is returned unless the answer is 200.
func (n *node) get(ctx context.Context, path string) (refusal string, err error) {
	status, text, err := n.page(ctx, path)
	if err != nil || status == http.StatusOK {
		return "", err
	}
	return fmt.Sprintf("node %d answers %s with %d: %s", n.pid(), path, status, text), nil
}

func (n *node) page(ctx context.Context, path string) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// metric reads one of the node's numbers.
func (n *node) metric(ctx context.Context, name string) (float64, error) {
	_, text, err := n.page(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("node %d has no metric %s", n.pid(), name)
}

// fenced is how many writes of the node were refused as stale.
func (n *node) fenced(ctx context.Context) (int, error) {
	value, err := n.metric(ctx, "singularity_fenced_writes_total")
	return int(value), err
}

// members is who is there, as the node says.
func (n *node) members(ctx context.Context) ([]*messages.Member, error) {
	answer, err := messagesconnect.NewClusterServiceClient(http.DefaultClient, n.url).ListMembers(ctx, &messages.ListMembersRequest{})
	return answer.GetMembers(), err
}

// start starts a run.
func (n *node) start(ctx context.Context, request *messages.StartRunRequest) error {
	_, err := n.runs.StartRun(ctx, request)
	return err
}

// kill ends the process by SIGKILL and proves that it did.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	n.awaitKilled()
}

func (n *node) signal(signal syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.t.Fatal(err)
	}
}

// awaitKilled waits for the end of the process, which must be by SIGKILL.
func (n *node) awaitKilled() {
	n.t.Helper()
	n.awaitEnd()
	status, ok := n.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		n.t.Fatalf("node %d ended with %s, not by SIGKILL\n%s", n.pid(), n.cmd.ProcessState, n.log)
	}
}

func (n *node) awaitEnd() {
	n.t.Helper()
	ctx, cancel := bounded(n.t)
	defer cancel()
	select {
	case <-n.ended:
	case <-ctx.Done():
		n.t.Fatalf("node %d did not end in %s\n%s", n.pid(), patience, n.log)
	}
}

// drain ends the process by SIGTERM, in order.
func (n *node) drain() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	n.awaitEnd()
	if !n.cmd.ProcessState.Success() {
		n.t.Fatalf("node %d did not end in order but with %s\n%s", n.pid(), n.cmd.ProcessState, n.log)
	}
}

// pause stops the process and proves that it is stopped.
func (n *node) pause() {
	n.t.Helper()
	n.signal(syscall.SIGSTOP)
	n.awaitState("T")
}

// resume lets a stopped process go on.
func (n *node) resume() {
	n.t.Helper()
	n.signal(syscall.SIGCONT)
}

// awaitState waits until the kernel shows a state of the process.
func (n *node) awaitState(state string) {
	n.t.Helper()
	await(n.t, func(context.Context) (string, error) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.pid()))
		if err != nil {
			return "", err
		}
		_, fields, _ := strings.Cut(string(stat), ") ")
		if shown, _, _ := strings.Cut(fields, " "); shown != state {
			return fmt.Sprintf("process %d is %s, not yet %s", n.pid(), shown, state), nil
		}
		return "", nil
	})
}

// loadRequest starts a run of the workflow load under an id of the caller's.
func loadRequest(id workflow.RunID) *messages.StartRunRequest {
	return &messages.StartRunRequest{Workflow: "load", InputJson: `{"note":"soak"}`, Id: id.String()}
}

// log is the last that a process has printed.
type log struct {
	mu    sync.Mutex
	lines [][]byte
}

const mostLines = 200

func (l *log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, bytes.SplitAfter(bytes.Clone(text), []byte("\n"))...)
	l.lines = l.lines[max(len(l.lines)-mostLines, 0):]
	return len(text), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.lines, nil))
}
