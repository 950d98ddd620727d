//go:build unix

package testpostgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The names of PgBouncer's files.
const (
	poolerPID   = "pgbouncer.pid"
	poolerSetup = "pgbouncer.ini"
	poolerPort  = "6432" // names the socket
)

// Pooler puts a PgBouncer in transaction mode before the server of a database,
// for the rest of the test, and returns the URL of the database through it.
// Each transaction has another session than the one before.
func Pooler(t testing.TB, databaseURL string) string {
	t.Helper()
	pooled, end, err := startPooler(t.Context(), databaseURL)
	if err != nil {
		t.Fatalf("start a pooler: %v", err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("end a pooler: %v", err)
		}
	})
	return pooled
}

func startPooler(ctx context.Context, databaseURL string) (pooled string, end func() error, err error) {
	target, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return "", nil, err
	}
	program, err := findPgBouncer(systemPrograms)
	if err != nil {
		return "", nil, err
	}
	files, err := newScratch(fastRoot(), poolerPID)
	if err != nil {
		return "", nil, err
	}
	if err := files.write(poolerSetup, setupOfPooler(files, target)); err != nil {
		return "", nil, errors.Join(err, files.remove())
	}
	running, err := start(files.command(program, files.path(poolerSetup)))
	if err != nil {
		return "", nil, errors.Join(err, files.remove())
	}
	end = func() error { return errors.Join(running.end(syscall.SIGTERM), files.remove()) } // at once
	query := url.Values{"host": {files.dir}, "port": {poolerPort}, "sslmode": {"disable"}}
	pooled = (&url.URL{
		Scheme: "postgres", User: url.User(target.User), Path: "/" + target.Database, RawQuery: query.Encode(),
	}).String()
	err = running.await(ctx, func(ctx context.Context) error {
		return onConnection(ctx, pooled, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
	})
	if err != nil {
		return "", nil, errors.Join(err, end())
	}
	return pooled, end, nil
}

func setupOfPooler(files *scratch, target *pgx.ConnConfig) string {
	server := fmt.Sprintf("host=%s port=%d user=%s", inSetup(target.Host), target.Port, inSetup(target.User))
	if target.Password != "" {
		server += " password=" + inSetup(target.Password)
	}
	return fmt.Sprintf(`[databases]
* = %s
[pgbouncer]
pool_mode = transaction
default_pool_size = 5
server_round_robin = 1
max_client_conn = 200
auth_type = any
unix_socket_dir = %s
listen_port = %s
pidfile = %s
`, server, files.dir, poolerPort, files.path(poolerPID))
}

func inSetup(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
