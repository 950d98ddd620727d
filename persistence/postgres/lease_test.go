package postgres_test

import (
	"errors"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

func TestRenewalExtendsTheLeaseAndCounts(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, db := joined(t, "a", cfg), connectTo(t, cfg.URL)
	const until = `SELECT lease_until FROM singularity.node_leases WHERE boot = $1`
	before := read[time.Time](t, db, until, string(a.boot.ID))
	for want := range int64(3) {
		const renewals = `SELECT renewals FROM singularity.node_leases WHERE boot = $1`
		if got := read[int64](t, db, renewals, string(a.boot.ID)); got != want {
			t.Errorf("%d renewals, want %d", got, want)
		}
		a.renew(t)
	}
	if after := read[time.Time](t, db, until, string(a.boot.ID)); !after.After(before) {
		t.Errorf("the lease is until %v after a renewal and was until %v", after, before)
	}
	if left := read[float64](t, db, `SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM singularity.node_leases`); left > longTerm.Seconds() {
		t.Errorf("the lease has %v seconds left, want at most its term", left)
	}
}

func TestPublicRenewalIsSeenByPeople(t *testing.T) {
	t.Parallel()
	a := joined(t, "a", postgres.Config{URL: testpostgres.URL(t)})
	member := func() persistence.Member {
		t.Helper()
		members, err := a.Members(t.Context())
		if err != nil || len(members) != 1 {
			t.Fatalf("members %+v, %v; want one", members, err)
		}
		return members[0]
	}
	first := member()
	status := persistence.Status{State: persistence.NodeDraining, Load: 7}
	for _, public := range []bool{false, true} {
		status.Public = public
		if _, err := a.Renew(t.Context(), a.boot.ID, status); err != nil {
			t.Fatal(err)
		}
		got := member()
		want := first
		if public {
			if !got.LastHeartbeat.After(first.LastHeartbeat) {
				t.Errorf("last heartbeat %v, want one after %v", got.LastHeartbeat, first.LastHeartbeat)
			}
			want.Status, want.Load, want.LastHeartbeat = "draining", 7, got.LastHeartbeat
		}
		if got != want {
			t.Errorf("public %v: member %+v, want %+v", public, got, want)
		}
	}
}

func TestSuspectsAreTheLateAndThoseWithoutALock(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, b, db := joined(t, "a", cfg), joined(t, "b", cfg), connectTo(t, cfg.URL)
	b.renew(t)
	renewed := func(ago string) {
		t.Helper()
		db.exec(t, `UPDATE singularity.node_leases SET lease_until = clock_timestamp() + $2::interval - $3::interval WHERE boot = $1`,
			string(b.boot.ID), longTerm, ago)
	}
	renewed("-1 minute") // which is now, however long the next call takes
	if a.suspects(t, b) {
		t.Error("a boot that has just renewed its lease is suspected")
	}
	renewed("1.6 seconds")
	late := a.suspect(t, b)
	if late.Instance != "b" || late.Renewals != 1 || late.LockFree || late.Left <= 0 || late.Left > longTerm-1600*time.Millisecond {
		t.Errorf("a boot that has not renewed its lease for 1.6 s: %+v, want its lock held, one renewal and the rest of its term left", late)
	}
	b.renew(t)
	b.crash(t)
	gone := a.suspect(t, b)
	if !gone.LockFree || gone.Renewals != 2 || gone.Left <= 0 {
		t.Errorf("a boot whose process is gone: %+v, want its lock free, two renewals and time left", gone)
	}
	if a.declare(t, b, persistence.Crashed, 2); a.suspects(t, b) {
		t.Error("a boot that has ended is suspected")
	}
}

func TestRunsElsewhereAreToldOf(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, b := joined(t, "a", cfg), joined(t, "b", cfg)
	fence := a.start(t)
	if a.renew(t).Elsewhere {
		t.Error("a run of its own is elsewhere")
	}
	if !b.renew(t).Elsewhere {
		t.Error("a run of another boot is not elsewhere")
	}
	if v := a.commit(t, persistence.Advance{Fence: fence, State: workflow.Available, Step: "reserve"}); v.Err != nil {
		t.Fatal(v.Err)
	}
	if b.renew(t).Elsewhere {
		t.Error("a run that nobody runs is elsewhere")
	}
}

func TestOnlyLivingBootsRenew(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	left, unknown, closed := joined(t, "left", cfg), newNode(t, "unknown", cfg), joined(t, "closed", cfg)
	if err := left.Leave(t.Context(), left.boot.ID); err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, test := range []struct {
		node
		want error
	}{{left, persistence.ErrFenced}, {unknown, persistence.ErrFenced}, {closed, workflow.ErrUnavailable}} {
		if _, err := test.Renew(t.Context(), test.boot.ID, persistence.Status{State: persistence.NodeAlive}); !errors.Is(err, test.want) {
			t.Errorf("%s renews: %v, want %v", test.boot.Instance, err, test.want)
		}
	}
}

func TestBootsThatAreAskedForAreReportedOnWhileTheyLive(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a, b, left := joined(t, "a", cfg), joined(t, "b", cfg), joined(t, "left", cfg)
	if err := left.Leave(t.Context(), left.boot.ID); err != nil {
		t.Fatal(err)
	}
	b.renew(t)
	renewal, err := a.Renew(t.Context(), a.boot.ID, persistence.Status{
		State: persistence.NodeAlive, Suspected: []persistence.BootID{b.boot.ID, left.boot.ID, a.boot.ID, "unknown"},
	})
	if err != nil || len(renewal.Suspects) != 1 {
		t.Fatalf("renewal %+v, %v; want it to tell of b alone", renewal, err)
	}
	if found := renewal.Suspects[0]; found.Boot != b.boot.ID || found.LockFree || found.Renewals != 1 || found.Left <= 0 {
		t.Errorf("b is %+v, want its lock held, one renewal and time left", found)
	}
}
