package proof

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// process is this test binary as another process.
type process struct {
	*exec.Cmd
	said *bufio.Reader
}

// spawn starts a process in a role, with what it has to know.
func spawn(t testing.TB, role string, knows any) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	told, err := json.Marshal(knows)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), program)}
	p.Env = append(os.Environ(), role+"="+string(told))
	p.Stderr = t.Output()
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.said = bufio.NewReader(stdout)
	if _, err := p.StdinPipe(); err != nil { // which ends with this process
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// await waits until the process says a line.
func (p *process) await(t *testing.T, line string) {
	t.Helper()
	late := time.AfterFunc(patience, func() { _ = p.Process.Kill() })
	defer late.Stop()
	if said, err := p.said.ReadString('\n'); err != nil || strings.TrimSpace(said) != line {
		t.Fatalf("the process says %q (%v), want %q", said, err, line)
	}
}

// kill ends the process by SIGKILL, and waits until it is gone.
func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
}
