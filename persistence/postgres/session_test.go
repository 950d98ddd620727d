package postgres_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
)

func TestBrokenSessionMendsItself(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, db := joined(t, "a", cfg), connectTo(t, cfg.URL)
	a.renew(t)
	if a.renew(t).Unbroken <= 0 {
		t.Error("a session that has renewed twice has lasted no time")
	}
	db.endSession(t, a)
	if unbroken := a.renew(t).Unbroken; unbroken != 0 {
		t.Errorf("a new session has lasted %v, want 0", unbroken)
	}
}

func TestBrokenSessionIsMadeAnewUnderARenewal(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, db := joined(t, "a", cfg), connectTo(t, cfg.URL)
	a.keepAlive(t) // and no renewal fails
	renewals := func() int64 {
		return read[int64](t, db, `SELECT renewals FROM singularity.node_leases WHERE boot = $1`, string(a.boot.ID))
	}
	for range 10 {
		db.endSession(t, a)
		before := renewals()
		until(t, "the new session renews the lease", func() bool { return renewals() > before })
	}
}

func TestFormerSessionThatTheServerKeepsIsEnded(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	wire, url := newWire(t, cfg.URL)
	first := joined(t, "a", postgres.Config{URL: cfg.URL, SessionURL: url})
	wire.refuse() // who is gone does not take its lock back
	again := newNode(t, "a", cfg)
	again.boot = first.boot
	db := connectTo(t, cfg.URL)
	before := db.lockHolder(t, first)
	until(t, "the boot joins while the server keeps its former session", func() bool {
		err := again.Join(t.Context(), again.boot)
		if err != nil && !errors.Is(err, persistence.ErrContended) { // a busy server takes its time to end it
			t.Fatal(err)
		}
		return err == nil
	})
	first.Close()
	until(t, "the new session holds the lock", func() bool {
		pid := db.lockHolder(t, again)
		return pid != 0 && pid != before
	})
}

func TestRestartOfTheServerBreaksTheSession(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*testpostgres.Server, *testing.T){
		"restart": func(s *testpostgres.Server, t *testing.T) { s.Restart(t) },
		"crash":   func(s *testpostgres.Server, t *testing.T) { s.Kill9(t) },
		"crash of a part": func(s *testpostgres.Server, t *testing.T) {
			s.KillBackend(t, connectTo(t, s.URL(testpostgres.Database)).PgConn().PID())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testpostgres.Start(t, testpostgres.Config{})
			cfg := postgres.Config{URL: server.URL(testpostgres.Database)}
			if _, err := postgres.MigrateUp(t.Context(), cfg.URL); err != nil {
				t.Fatal(err)
			}
			a := joined(t, "a", cfg)
			a.renew(t)
			a.renew(t)
			fault(server, t)
			if unbroken := a.renew(t).Unbroken; unbroken != 0 {
				t.Errorf("the session has lasted %v through the fault, want 0", unbroken)
			}
		})
	}
}

func TestNodeHearsOfNewRunsWhileItRenews(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, db := newNode(t, "a", cfg), connectTo(t, cfg.URL)
	heard := make(chan string, 1000)
	a.Listen(persistence.Listener{Enqueued: func(queue string) { heard <- queue }})
	if err := a.Join(t.Context(), a.boot); err != nil {
		t.Fatal(err)
	}
	tell := func(times int) {
		t.Helper()
		for i := range times {
			queue := strconv.Itoa(i)
			db.exec(t, `SELECT pg_notify('singularity_wake', $1)`, queue)
			select {
			case got := <-heard:
				if got != queue {
					t.Fatalf("heard of queue %s, want %s", got, queue)
				}
			case <-time.After(patience):
				t.Fatal("not heard")
			}
		}
	}
	tell(3)
	end := a.keepAlive(t)
	tell(200)
	end()
	tell(3)
	db.endSession(t, a)
	a.renew(t)
	tell(3)
}

func TestSessionThroughATransactionPoolerIsRefused(t *testing.T) {
	t.Parallel()
	direct := testpostgres.URL(t)
	pooled := testpostgres.Pooler(t, direct)
	a := newNode(t, "a", postgres.Config{URL: pooled})
	if err := a.Join(t.Context(), a.boot); !errors.Is(err, postgres.ErrPooler) {
		t.Errorf("join through a pooler: %v, want %v", err, postgres.ErrPooler)
	}
	b := joined(t, "b", postgres.Config{URL: pooled, SessionURL: direct})
	b.renew(t)
	b.start(t)
}

func TestSessionOnAReplicaIsRefused(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Config{})
	cfg := postgres.Config{URL: server.URL(testpostgres.Database)}
	if _, err := postgres.MigrateUp(t.Context(), cfg.URL); err != nil {
		t.Fatal(err)
	}
	cfg.SessionURL = server.Standby(t).URL(testpostgres.Database)
	a := newNode(t, "a", cfg)
	if err := a.Join(t.Context(), a.boot); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("join on a replica: %v, want %v", err, postgres.ErrReadOnly)
	}
}
