//go:build unix

package testpostgres

import (
	"testing"
	"time"
)

func TestFaultsEndSessionsAndKeepWhatWasCommitted(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name string
		do   func(t *testing.T, server *Server, session uint32)
	}{
		{"restart", func(t *testing.T, server *Server, _ uint32) { server.Restart(t) }},
		{"stop and start", func(t *testing.T, server *Server, _ uint32) { server.Stop(t); server.Start(t) }},
		{"kill", func(t *testing.T, server *Server, _ uint32) { server.Kill9(t) }},
		{"kill of a session", func(t *testing.T, server *Server, session uint32) { server.KillBackend(t, session) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			server := Start(t, Config{})
			conn := connect(t, server.URL(Database))
			run(t, conn, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
			fault.do(t, server, conn.PgConn().PID())
			if err := conn.Ping(t.Context()); err == nil {
				t.Error("the session of before still works")
			}
			if n := number(t, connect(t, server.URL(Database)), "SELECT n FROM kept"); n != 7 {
				t.Errorf("read %d, want 7", n)
			}
		})
	}
}

func TestStandbyFollowsAndIsPromoted(t *testing.T) {
	t.Parallel()
	server := Start(t, Config{})
	standby := server.Standby(t)
	run(t, connect(t, server.URL(Database)), "CREATE TABLE copied (n int)")
	conn := connect(t, standby.URL(Database))
	await(t, "the standby has the table", func() bool {
		return number(t, conn, "SELECT count(*) FROM pg_tables WHERE tablename = 'copied'") == 1
	})
	if _, err := conn.Exec(t.Context(), "INSERT INTO copied VALUES (1)"); err == nil {
		t.Error("a standby took a write")
	}
	server.Stop(t)
	standby.Promote(t)
	run(t, conn, "INSERT INTO copied VALUES (1)")
}

func TestPoolerHasNoSessions(t *testing.T) {
	t.Parallel()
	conn := connect(t, Pooler(t, URL(t)))
	sessions := map[int]bool{}
	for range 2 {
		run(t, conn, "SELECT 1")
		sessions[number(t, conn, "SELECT pg_backend_pid()")] = true
	}
	if sessions[int(conn.PgConn().PID())] {
		t.Error("the client knows its session by its process id")
	}
}

func TestClockOfAServerCanBeAhead(t *testing.T) {
	t.Parallel()
	server := Start(t, Config{Ahead: time.Hour})
	ahead := func() time.Duration {
		var now time.Time
		if err := connect(t, server.URL(Database)).QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now); err != nil {
			t.Fatal(err)
		}
		return time.Until(now)
	}
	for range 2 {
		if got := ahead(); got < 59*time.Minute || got > time.Hour {
			t.Errorf("the clock is %s ahead, want an hour", got)
		}
		server.Restart(t)
	}
}

func TestServerMayHaveExtensionsOfItsOwn(t *testing.T) {
	t.Parallel()
	server := Start(t, Config{Extensions: map[string]string{
		"mine.control":  "default_version = '1.0'\nsuperuser = false\n",
		"mine--1.0.sql": "CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7';",
	}})
	conn := connect(t, server.URL(Database))
	run(t, conn, "CREATE EXTENSION mine")
	if n := number(t, conn, "SELECT seven()"); n != 7 {
		t.Errorf("its function returns %d, want 7", n)
	}
	if n := number(t, connect(t, server.AdminURL(Database)), "SELECT count(*) FROM pg_available_extensions WHERE name IN ('plpgsql', 'mine')"); n != 2 {
		t.Errorf("%d of both extensions are there", n)
	}
	if n := number(t, connect(t, URL(t)), "SELECT count(*) FROM pg_available_extensions WHERE name = 'mine'"); n != 0 {
		t.Error("another server has the extension, too")
	}
}

func TestSettingsReachTheServer(t *testing.T) {
	t.Parallel()
	conn := connect(t, Start(t, Config{Durable: true, Settings: map[string]string{"cluster_name": "it's mine"}}).URL(Database))
	var name, fsync string
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('cluster_name'), current_setting('fsync')").Scan(&name, &fsync); err != nil {
		t.Fatal(err)
	}
	if name != "it's mine" || fsync != "on" {
		t.Errorf("cluster_name %q and fsync %s, want what the configuration says", name, fsync)
	}
}
