//go:build unix

package testpostgres

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The test binary is its own child process: with a role in its environment it
// plays that instead of running tests.
const (
	roleVariable = "TESTPOSTGRES_ROLE"
	roleHold     = "hold"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == roleHold {
		hold()
		return
	}
	Main(m, func(ctx context.Context, url string) (done string, err error) {
		return "ignored", onConnection(ctx, url, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "CREATE TABLE migrated (by text)")
			return err
		})
	})
}

// hold has a server and a pooler until it is killed.
func hold() {
	server, err := newServer(context.Background(), Config{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	pooled, _, err := startPooler(context.Background(), server.URL(Database))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.URL(Database))
	fmt.Println(pooled)
	_, _ = io.Copy(io.Discard, os.Stdin) // for ever
}

// holder is a child process that has a server and a pooler.
type holder struct {
	*exec.Cmd
	server, pooler string // URLs
}

func spawn(t *testing.T) holder {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+roleHold)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	next := func() string {
		if !lines.Scan() {
			t.Fatalf("the child process ended: %v", lines.Err())
		}
		return lines.Text()
	}
	return holder{cmd, next(), next()}
}
