package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"singularity/persistence/sqlite"
)

// The test binary is its own child process: with a role in its environment it
// plays that instead of running tests.
const (
	roleVariable = "SQLITE_TEST_ROLE"
	dirVariable  = "SQLITE_TEST_DIR"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "hold":
		play(dir, func(*sqlite.Store) error { return nil })
	case "commit":
		play(dir, commitForEver)
	default:
		panic("unknown role " + role)
	}
}

// play opens a store, says so, and does its part until the process is killed or
// its input ends.
func play(dir string, part func(*sqlite.Store) error) {
	store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("open")
	if err := part(store); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// child is a process that has a store open.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner // of its standard output
}

// spawn starts a child process and waits until it has the store open.
func spawn(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	c := &child{cmd, bufio.NewScanner(stdout)}
	if !c.lines.Scan() || c.lines.Text() != "open" {
		t.Fatalf("child process said %q, want that it has the store open", c.lines.Text())
	}
	return c
}
