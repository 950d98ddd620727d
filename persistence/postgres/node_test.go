package postgres_test

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// patience bounds what a test waits for.
const patience = time.Minute

// node is a store with one boot that joined by it.
type node struct {
	*postgres.Store
	boot persistence.Boot
	url  string // of the database itself
}

// newNode opens a store without joining. Its lease outlasts the test, unless
// that says otherwise.
func newNode(t *testing.T, label string, cfg postgres.Config) node {
	t.Helper()
	cfg.LeaseTerm = cmp.Or(cfg.LeaseTerm, longTerm)
	cfg.Logger = slog.New(slog.DiscardHandler)
	store, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return node{store, persistence.Boot{
		ID: persistence.BootID(label + "-" + workflow.NewRunID().String()), Instance: label,
		Hostname: "host-" + label, PID: 4711, Version: "test", Capabilities: `{"llm":true}`,
	}, cmp.Or(cfg.SessionURL, cfg.URL)}
}

// joined is a node whose boot lives.
func joined(t *testing.T, label string, cfg postgres.Config) node {
	t.Helper()
	n := newNode(t, label, cfg)
	if err := n.Join(t.Context(), n.boot); err != nil {
		t.Fatalf("join: %v", err)
	}
	return n
}

// crash ends the store without a word, and waits until the server has noticed.
func (n node) crash(t *testing.T) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	db := connectTo(t, n.url)
	until(t, "the lock is free", func() bool { return db.lockHolder(t, n) == 0 })
}

// renew renews the lease, which must work.
func (n node) renew(t *testing.T) persistence.Renewal {
	t.Helper()
	renewal, err := n.Renew(t.Context(), n.boot.ID, persistence.Status{State: persistence.NodeAlive})
	if err != nil {
		t.Fatalf("renew: %v", err)
	}
	return renewal
}

// keepAlive renews the lease until the test, or what it returns, ends it.
func (n node) keepAlive(t *testing.T) (end func()) {
	t.Helper()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := n.Renew(context.Background(), n.boot.ID, persistence.Status{State: persistence.NodeAlive}); err != nil {
				t.Errorf("renew: %v", err)
				return
			}
		}
	}()
	end = sync.OnceFunc(func() { close(stop); <-ended })
	t.Cleanup(end)
	return end
}

// suspect is what the node thinks of another, which it must suspect.
func (n node) suspect(t *testing.T, other node) persistence.Suspect {
	t.Helper()
	for _, found := range n.renew(t).Suspects {
		if found.Boot == other.boot.ID {
			return found
		}
	}
	t.Fatalf("%s does not suspect %s", n.boot.ID, other.boot.ID)
	return persistence.Suspect{}
}

// suspects reports whether the node suspects another.
func (n node) suspects(t *testing.T, other node) bool {
	t.Helper()
	for _, found := range n.renew(t).Suspects {
		if found.Boot == other.boot.ID {
			return true
		}
	}
	return false
}

// declare charges another node.
func (n node) declare(t *testing.T, other node, ground persistence.Ground, renewals int64) bool {
	t.Helper()
	ended, err := n.Declare(t.Context(), n.boot.ID, persistence.Charge{Boot: other.boot.ID, Ground: ground, Renewals: renewals})
	if err != nil {
		t.Fatalf("declare: %v", err)
	}
	return ended
}

// start inserts a run that the node owns.
func (n node) start(t *testing.T) persistence.Fence {
	t.Helper()
	id := workflow.NewRunID()
	verdict := n.commit(t, persistence.Insert{
		Run: id, Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(`{}`), Owner: n.boot.ID,
	})
	if verdict.Err != nil || !verdict.Owned {
		t.Fatalf("insert: %+v, want a run that is owned", verdict)
	}
	return persistence.Fence{Run: id, Boot: n.boot.ID, Epoch: 1}
}

func (n node) commit(t *testing.T, write persistence.Write) persistence.Verdict {
	t.Helper()
	verdicts, err := n.Commit(t.Context(), []persistence.Write{write})
	if err != nil {
		t.Fatalf("commit %T: %v", write, err)
	}
	return verdicts[0]
}

// reassign releases the runs of the dead.
func (n node) reassign(t *testing.T) persistence.Reassigned {
	t.Helper()
	done, err := n.Reassign(t.Context(), 100)
	if err != nil {
		t.Fatalf("reassign: %v", err)
	}
	return done
}

// crashes is how many crashes a run counts, which must be available.
func (n node) crashes(t *testing.T, id workflow.RunID) int {
	t.Helper()
	run, err := n.Run(t.Context(), id)
	if err != nil {
		t.Fatalf("read run: %v", err)
	}
	if run.State != workflow.Available || run.Owner != "" {
		t.Fatalf("run %+v, want it available", run)
	}
	return run.Crashes
}

// database is a connection of the test's own.
type database struct{ *pgx.Conn }

func connectTo(t testing.TB, url string) database {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return database{conn}
}

func (d database) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := d.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// read reads one value.
func read[T any](t testing.TB, d database, query string, args ...any) T {
	t.Helper()
	var value T
	if err := d.QueryRow(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

const lockHolder = `
SELECT coalesce((
	SELECT pid
	FROM pg_locks
	WHERE locktype = 'advisory' AND granted AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (classid::bigint << 32) | objid::bigint = hashtextextended($1, 0)
), 0)`

// lockHolder is the process id of the session that holds a boot's lock; 0: none.
func (d database) lockHolder(t testing.TB, n node) int {
	t.Helper()
	return read[int](t, d, lockHolder, string(n.boot.ID))
}

// endSession ends the session that a node has, and waits for the next one.
func (d database) endSession(t *testing.T, n node) {
	t.Helper()
	before := d.lockHolder(t, n)
	d.exec(t, `SELECT pg_terminate_backend($1)`, before)
	until(t, "another session holds the lock", func() bool {
		pid := d.lockHolder(t, n)
		return pid != 0 && pid != before
	})
}

// until looks until something is so.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
