package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
)

const endedBy = `SELECT coalesce(ended_by, '') FROM singularity.node_leases WHERE boot = $1`

func TestLabelOfALivingBootIsTaken(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, again := joined(t, "a", cfg), newNode(t, "a", cfg)
	a.keepAlive(t)
	err := again.Join(t.Context(), again.boot)
	if !errors.Is(err, persistence.ErrInstanceTaken) {
		t.Fatalf("join with the label of a living boot: %v, want %v", err, persistence.ErrInstanceTaken)
	}
	for _, want := range []string{a.boot.Hostname, "4711", string(a.boot.ID)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	a.renew(t)
}

func TestLabelIsFreeOnceItsBootHasLeft(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a := joined(t, "a", cfg)
	if err := a.Leave(t.Context(), a.boot.ID); err != nil {
		t.Fatal(err)
	}
	joined(t, "a", cfg).renew(t)
}

func TestRestartedNodeWaitsForTheEndOfItsFormerBoot(t *testing.T) {
	t.Parallel()
	for _, former := range []struct {
		name  string
		end   func(*testing.T, node)
		ended persistence.Ground
	}{
		{"killed", func(t *testing.T, n node) { n.crash(t) }, persistence.Crashed},
		{"paused", func(*testing.T, node) {}, persistence.Lapsed},
	} {
		t.Run(former.name, func(t *testing.T) {
			t.Parallel()
			cfg := postgres.Config{URL: testpostgres.URL(t), LeaseTerm: 500 * time.Millisecond}
			a, again := joined(t, "a", cfg), newNode(t, "a", cfg)
			db := connectTo(t, cfg.URL)
			const leaseEnd = `SELECT lease_until FROM singularity.node_leases WHERE boot = $1`
			over := read[time.Time](t, db, leaseEnd, string(a.boot.ID))
			former.end(t, a)
			if err := again.Join(t.Context(), again.boot); err != nil {
				t.Fatalf("join: %v", err)
			}
			if now := read[time.Time](t, db, `SELECT clock_timestamp()`); now.Before(over) {
				t.Errorf("joined at %v, before the former lease is over at %v", now, over)
			}
			if got := read[string](t, db, endedBy, string(a.boot.ID)); got != string(former.ended) {
				t.Errorf("the former boot ended by %q, want %q", got, former.ended)
			}
		})
	}
}

func TestJoiningGivesUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t), LeaseTerm: time.Hour}
	joined(t, "a", cfg)
	again := newNode(t, "a", cfg)
	ctx, cancel := contextFor(t, 100*time.Millisecond)
	defer cancel()
	if err := again.Join(ctx, again.boot); !errors.Is(err, ctx.Err()) {
		t.Errorf("join: %v, want %v", err, ctx.Err())
	}
	if db := connectTo(t, cfg.URL); db.lockHolder(t, again) != 0 {
		t.Error("a boot that did not join holds its lock")
	}
}

func TestJoiningTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, db := joined(t, "a", cfg), connectTo(t, cfg.URL)
	before := db.lockHolder(t, a)
	if err := a.Join(t.Context(), a.boot); err != nil {
		t.Errorf("join again: %v", err)
	}
	if after := db.lockHolder(t, a); after != before {
		t.Errorf("the lock is held by process %d, and was by %d", after, before)
	}
	a.renew(t)
}

func TestDeadBootNeverJoinsAgain(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	a.crash(t)
	if !judge.declare(t, a, persistence.Crashed, 0) {
		t.Fatal("not declared dead")
	}
	again := newNode(t, "a", cfg)
	again.boot.ID = a.boot.ID
	if err := again.Join(t.Context(), again.boot); !errors.Is(err, persistence.ErrFenced) {
		t.Errorf("join: %v, want %v", err, persistence.ErrFenced)
	}
}
