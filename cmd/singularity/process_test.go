package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// process is the program as a process of its own.
type process struct {
	*exec.Cmd
	URL string
	PID int

	log *transcript
}

// transcript is what a process has logged so far. It is safe for concurrent use.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// has reports whether one line has all words.
func (s *transcript) has(words ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.text.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return true
		}
	}
	return false
}

// startProcess starts dev as a process and waits until it is ready.
func startProcess(t *testing.T, args ...string) process {
	t.Helper()
	return startProcessOf(t, nil, "dev", args...)
}

// startProcessOf starts a node by one of its verbs.
func startProcessOf(t *testing.T, env []string, verb string, args ...string) process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := process{log: &transcript{}, Cmd: exec.CommandContext(t.Context(), program, append([]string{verb, "-o", "json", "--http", "127.0.0.1:0"}, args...)...)}
	p.Env = environment(env...)
	p.Stderr = io.MultiWriter(t.Output(), p.log)
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has not ended it
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &p) != nil {
		t.Fatalf("%s printed %q (%v), want where it is", verb, line, err)
	}
	if p.PID != p.Process.Pid {
		t.Errorf("%s says its pid is %d, it is %d", verb, p.PID, p.Process.Pid)
	}
	return p
}

// environment is that of a process of the program, without vendors but those in
// more.
func environment(more ...string) []string {
	env := append(os.Environ(), beMain+"=1")
	for _, vendor := range vendors {
		for _, variable := range vendor.variables() {
			env = append(env, variable+"=")
		}
	}
	return append(env, more...)
}

func (p process) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

const slowRequest = `{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Is this spam?"}]}`

func (p process) startSlowRun(t *testing.T) {
	t.Helper()
	started := at(p.URL, "run", "start", "llm_request", "--id", newRun, "--input", slowRequest).run(t.Context())
	if started.code != exitDone {
		t.Fatalf("got %+v", started)
	}
	eventually(t, func() bool {
		steps := at(p.URL, "run", "get", newRun).run(t.Context())
		return strings.Contains(steps.stdout, "call_llm_provider")
	})
}

// wantHistory expects the steps of the slow run, each once.
func (p process) wantHistory(t *testing.T) {
	t.Helper()
	steps := at(p.URL, "run", "steps", newRun, "-o", "json").run(t.Context())
	var history []struct{ Step string }
	if err := json.Unmarshal([]byte(steps.stdout), &history); err != nil {
		t.Fatal(err)
	}
	if want := "[{receive_request} {select_model} {call_llm_provider} {publish_result}]"; fmt.Sprint(history) != want {
		t.Errorf("got history %v, want each step once", history)
	}
}

func TestFirstSignalDrainsAndTheSecondOneStopsAtOnce(t *testing.T) {
	t.Parallel()
	p := startProcess(t, "--data-dir", filepath.Join(t.TempDir(), "data"), "--simulated-latency", "1h")
	p.startSlowRun(t)

	p.signal(t, syscall.SIGTERM)
	eventually(t, func() bool { // it has heard: it is not ready, and answers
		return at(p.URL, "run", "start", "embedding", "--input", `{"query_id":"q","query":"q"}`).run(t.Context()).code == exitUnknown
	})
	p.signal(t, syscall.SIGTERM)

	_ = p.Wait()
	if !p.ProcessState.Exited() {
		t.Errorf("dev was killed: %s; want an orderly end", p.ProcessState)
	}
}

func TestRunGoesOnAfterKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := startProcess(t, "--data-dir", dir, "--simulated-latency", "1h")
	first.startSlowRun(t)

	first.signal(t, syscall.SIGKILL)
	_ = first.Wait()
	second := startProcess(t, "--data-dir", dir)

	got := at(second.URL, "run", "wait", newRun, "-o", "json").run(t.Context())
	if got.code != exitDone || !strings.Contains(got.stdout, `"request_id":"r1"`) {
		t.Errorf("got %+v, want the run's output", got)
	}
	second.wantHistory(t)
	second.signal(t, syscall.SIGTERM)
	if err := second.Wait(); err != nil {
		t.Errorf("dev ended with %v, want exit code 0", err)
	}
}

func TestDevPrintsForPeople(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := exec.CommandContext(t.Context(), program, "dev", "--ephemeral", "--http", "127.0.0.1:0")
	p.Env = environment()
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&printed, lines.Text())
		if strings.HasPrefix(lines.Text(), "TRY") {
			break
		}
	}
	for _, want := range []string{"URL       http://127.0.0.1:", fmt.Sprintf("PID       %d\n", p.Process.Pid), "DATA      in memory", "MODELS    simulated"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("got %q, want %q in it", printed.String(), want)
		}
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("dev ended with %v after Ctrl-C, want exit code 0", err)
	}
}
