//go:build unix

package testpostgres

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Stop ends the server in good order, and all of its sessions.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.must(t, "stop", s.process.end(syscall.SIGINT))
}

// Start starts a server that was stopped.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.must(t, "start", s.resume(t.Context()))
}

// Restart stops the server in good order and starts it.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// Crash ends the server as a crash would.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	s.must(t, "kill", s.process.end(syscall.SIGKILL))
}

// Kill9 ends the server as a crash would, and starts it.
func (s *Server) Kill9(t testing.TB) {
	t.Helper()
	s.Crash(t)
	s.Start(t)
}

// KillBackend ends the process of one session as a crash would. The server
// answers by ending all other sessions too, and recovers.
func (s *Server) KillBackend(t testing.TB, pid uint32) {
	t.Helper()
	s.must(t, "kill a session of", s.killBackend(t.Context(), pid))
	s.must(t, "recover", s.process.await(t.Context(), s.reached))
}

const isSession = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_type = 'client backend')`

// killBackend returns when the server has noticed.
func (s *Server) killBackend(ctx context.Context, pid uint32) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	witness, err := pgx.Connect(ctx, s.AdminURL(superuser))
	if err != nil {
		return err
	}
	defer func() { _ = witness.Close(ctx) }() // it is broken
	var there bool
	if err := witness.QueryRow(ctx, isSession, pid).Scan(&there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("it has no session with the process id %d", pid)
	}
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		return err
	}
	_, _ = witness.WaitForNotification(ctx) // an error says that the session has ended
	return ctx.Err()
}

// Standby starts a server that follows this one, for the rest of the test.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := makeServer(t.Context(), s.config, func(standby *Server) error {
		standby.password = s.password
		err := standby.scratch.run(s.programs+"/pg_basebackup", "--dbname="+s.AdminURL(superuser),
			"--pgdata="+standby.scratch.path(dataFolder), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
		if err != nil {
			return err
		}
		return standby.launch(t.Context())
	})
	s.must(t, "copy", err)
	standby.endWith(t)
	return standby
}

// Promote makes a standby a server of its own.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.must(t, "promote", onConnection(t.Context(), s.AdminURL(superuser), func(conn *pgx.Conn) error {
		var promoted bool
		if err := conn.QueryRow(t.Context(), "SELECT pg_promote()").Scan(&promoted); err != nil {
			return err
		}
		if !promoted {
			return fmt.Errorf("it is a standby still")
		}
		return nil
	}))
}

func (s *Server) must(t testing.TB, verb string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s the Postgres server in %s: %v", verb, s.scratch.dir, err)
	}
}
