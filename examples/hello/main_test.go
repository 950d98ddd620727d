package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// build builds a package of this module and returns the program.
func build(t *testing.T, dir, name, pkg string) string {
	t.Helper()
	program := filepath.Join(dir, name)
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, output)
	}
	return program
}

func TestHelloIsDrivenByTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hello := exec.CommandContext(t.Context(), build(t, dir, "hello", "."), "-http", "127.0.0.1:0")
	hello.Dir = dir // its data lies in a folder below
	hello.Stderr = t.Output()
	stdout, err := hello.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hello.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hello.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, address, found := strings.Cut(strings.TrimSpace(line), "ready at ")
	if !found {
		t.Fatalf("hello printed %q, want where it is", line)
	}

	drive := build(t, dir, "singularity", "singularity/cmd/singularity")
	call := exec.CommandContext(t.Context(), drive, "run", "start", "hello", "--input", `{"name":"Ada"}`, "--wait", "-o", "json")
	call.Env = append(os.Environ(), "SINGULARITY_ADDRESS="+address)
	var stderr bytes.Buffer
	call.Stderr = &stderr
	output, err := call.Output()
	if want := `{"name":"Ada","text":"HELLO, ADA!"}` + "\n"; err != nil || string(output) != want {
		t.Errorf("got %q, %v, stderr %q; want %q", output, err, &stderr, want)
	}

	if err := hello.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := hello.Wait(); err != nil {
		t.Errorf("hello ended with %v, want exit code 0", err)
	}
}
