package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

func TestCrashedBootIsDeclaredDeadAndItsRunsCountACrash(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	fence := a.start(t)
	if done := judge.reassign(t); done != (persistence.Reassigned{}) {
		t.Errorf("reassigned %+v of a living boot", done)
	}
	a.crash(t)
	suspect := judge.suspect(t, a)
	if !suspect.LockFree || suspect.Left <= 0 {
		t.Fatalf("suspect %+v, want its lock free before its lease is over", suspect)
	}
	if !judge.declare(t, a, persistence.Crashed, suspect.Renewals) {
		t.Fatal("not declared dead")
	}
	if done := judge.reassign(t); done != (persistence.Reassigned{Released: 1}) {
		t.Errorf("reassigned %+v, want one released", done)
	}
	if crashes := judge.crashes(t, fence.Run); crashes != 1 {
		t.Errorf("%d crashes, want 1", crashes)
	}
	members, err := judge.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if want := map[string]string{"judge": "online", "a": "offline"}[m.Instance]; m.Status != want {
			t.Errorf("%s is %s, want %s", m.Instance, m.Status, want)
		}
	}
}

func TestRenewalClearsOfACrash(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	a.renew(t)
	a.renew(t)
	a.crash(t)
	if judge.declare(t, a, persistence.Crashed, 1) {
		t.Error("declared dead by a charge from before the latest renewal")
	}
	if !judge.declare(t, a, persistence.Crashed, 2) {
		t.Error("not declared dead by a charge from after it")
	}
}

func TestBootThatHoldsItsLockHasNotCrashed(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	db := connectTo(t, cfg.URL)
	before := db.lockHolder(t, a)
	if judge.declare(t, a, persistence.Crashed, 0) {
		t.Error("declared dead")
	}
	if after := db.lockHolder(t, a); after != before {
		t.Errorf("the session of the innocent was ended: process %d holds the lock, and %d did", after, before)
	}
}

func TestLapsedBootIsDeclaredDeadWithoutACrash(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	fence := a.start(t)
	if judge.declare(t, a, persistence.Lapsed, 0) {
		t.Error("declared dead before the lease was over")
	}
	connectTo(t, cfg.URL).exec(t, lapse, string(a.boot.ID))
	if suspect := judge.suspect(t, a); suspect.Left > 0 || suspect.LockFree {
		t.Errorf("suspect %+v, want its lease over, and the lock of a boot that is merely paused held", suspect)
	}
	if !judge.declare(t, a, persistence.Lapsed, 0) {
		t.Fatal("not declared dead after it")
	}
	if done := judge.reassign(t); done != (persistence.Reassigned{Released: 1}) {
		t.Errorf("reassigned %+v, want one released", done)
	}
	if crashes := judge.crashes(t, fence.Run); crashes != 0 {
		t.Errorf("%d crashes, want none", crashes)
	}
	late := persistence.Advance{Fence: fence, State: workflow.Running, Step: "pay", Entry: &persistence.Entry{
		Step: "reserve", Attempt: 1, Outcome: workflow.StepCompleted, State: []byte(`{}`),
	}}
	if v := a.retried(t, late); !errors.Is(v.Err, persistence.ErrFenced) {
		t.Errorf("the late write of the dead boot: %+v, want %v", v, persistence.ErrFenced)
	}
	if _, err := a.Renew(t.Context(), a.boot.ID, persistence.Status{State: persistence.NodeAlive}); !errors.Is(err, persistence.ErrFenced) {
		t.Errorf("renewal of the dead boot: %v, want %v", err, persistence.ErrFenced)
	}
	a.boot.ID += "-again"
	if err := a.Join(t.Context(), a.boot); err != nil {
		t.Errorf("join anew: %v", err)
	}
}

// retried commits a write as often as its outcome is unknown, as it is when
// the connections of the store were ended.
func (n node) retried(t *testing.T, write persistence.Write) (verdict persistence.Verdict) {
	t.Helper()
	until(t, "a commit is answered", func() bool {
		verdicts, err := n.Commit(t.Context(), []persistence.Write{write})
		if err != nil && !errors.Is(err, workflow.ErrOutcomeUnknown) && !errors.Is(err, workflow.ErrUnavailable) {
			t.Fatalf("commit %T: %v", write, err)
		}
		if err == nil {
			verdict = verdicts[0]
		}
		return err == nil
	})
	return verdict
}

func TestOneOfManyJudgesDeclares(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t), Readers: 10}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	a.crash(t)
	var winners atomic.Int32
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			ended, err := judge.Declare(t.Context(), judge.boot.ID, persistence.Charge{Boot: a.boot.ID, Ground: persistence.Crashed})
			if err != nil {
				t.Errorf("declare: %v", err)
			}
			if ended {
				winners.Add(1)
			}
		})
	}
	all.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d calls ended the boot, want 1", n)
	}
}

func TestJudgeMustLive(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	a := joined(t, "a", cfg)
	gone := joined(t, "gone", cfg)
	if err := gone.Leave(t.Context(), gone.boot.ID); err != nil {
		t.Fatal(err)
	}
	a.crash(t)
	if gone.declare(t, a, persistence.Crashed, 0) {
		t.Error("a boot that has left declared another dead")
	}
}

func TestDeclareEvictsAnOpenTransaction(t *testing.T) {
	t.Parallel()
	for _, pooled := range []bool{false, true} {
		name := map[bool]string{false: "direct", true: "through a pooler"}[pooled]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := postgres.Config{URL: testpostgres.URL(t)}
			cfg.SessionURL = cfg.URL
			if pooled {
				cfg.URL = testpostgres.Pooler(t, cfg.URL)
			}
			judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
			fence := a.start(t)
			open := connectTo(t, withName(t, cfg.URL, "singularity/"+string(a.boot.ID)))
			open.exec(t, `BEGIN`)
			open.exec(t, `SELECT FROM singularity.workflow_runs WHERE id = $1 FOR UPDATE`, [16]byte(fence.Run))
			open.exec(t, `SELECT FROM singularity.node_leases WHERE boot = $1 FOR KEY SHARE`, string(a.boot.ID))
			a.crash(t)
			if !judge.declare(t, a, persistence.Crashed, 0) {
				t.Fatal("not declared dead")
			}
			if _, err := open.Exec(t.Context(), `COMMIT`); err == nil {
				t.Error("the transaction of the dead boot was committed")
			}
			if done := judge.reassign(t); done.Released != 1 {
				t.Errorf("reassigned %+v, want the run that was locked", done)
			}
		})
	}
}

func TestDeclareDoesNotHangBehindAStranger(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge, a := joined(t, "judge", cfg), joined(t, "a", cfg)
	stranger := connectTo(t, cfg.URL)
	stranger.exec(t, `BEGIN`)
	stranger.exec(t, `SELECT FROM singularity.node_leases WHERE boot = $1 FOR KEY SHARE`, string(a.boot.ID))
	a.crash(t)
	charge := persistence.Charge{Boot: a.boot.ID, Ground: persistence.Crashed}
	if ended, err := judge.Declare(t.Context(), judge.boot.ID, charge); ended || !errors.Is(err, workflow.ErrUnavailable) {
		t.Errorf("declare while a stranger holds the lease: %v, %v; want an error that may pass", ended, err)
	}
	stranger.exec(t, `COMMIT`)
	if !judge.declare(t, a, persistence.Crashed, 0) {
		t.Error("not declared dead once the stranger is gone")
	}
}

// withName is a URL whose connections have a name.
func withName(t *testing.T, base, name string) string {
	t.Helper()
	parsed, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set("application_name", name)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
