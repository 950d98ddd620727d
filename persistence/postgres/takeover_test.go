package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/actors"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// successor is a running node that has been there for long enough to judge.
type successor struct {
	*actors.Node
	cfg   postgres.Config
	db    database
	began chan time.Time // has when each step began
}

type heritage struct{}

// newSuccessor takes as long as a node must have been there.
func newSuccessor(tb testing.TB) successor {
	tb.Helper()
	s := successor{
		cfg:   postgres.Config{URL: testpostgres.URL(tb), Logger: slog.New(slog.DiscardHandler)},
		began: make(chan time.Time, 10_000),
	}
	store, err := postgres.Open(tb.Context(), s.cfg)
	if err != nil {
		tb.Fatal(err)
	}
	s.db = connectTo(tb, s.cfg.URL)
	s.Node, err = actors.NewNode(store, actors.Config{Instance: "successor", Logger: s.cfg.Logger})
	if err != nil {
		tb.Fatal(err)
	}
	step := workflow.Do("only", func(context.Context, *heritage) error {
		s.began <- time.Now()
		return nil
	})
	if err := s.Register(workflow.New("heritage", step)); err != nil {
		tb.Fatal(err)
	}
	if err := s.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			tb.Errorf("stop: %v", err)
		}
		if err := store.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	const untilItMayJudge = 11 * time.Second
	select {
	case <-time.After(untilItMayJudge):
	case <-tb.Context().Done():
	}
	return s
}

// bequeath makes a boot that dies and leaves some runs, and returns it when the
// database has noticed its end.
func (s successor) bequeath(tb testing.TB, runs int) persistence.BootID {
	tb.Helper()
	cfg := s.cfg
	cfg.LeaseTerm = longTerm // so that it crashes and does not lapse, however long the rest takes
	store, err := postgres.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	boot := persistence.Boot{ID: persistence.BootID("dead-" + workflow.NewRunID().String())}
	boot.Instance = string(boot.ID)
	if err := store.Join(tb.Context(), boot); err != nil {
		tb.Fatal(err)
	}
	var batch []persistence.Write
	for range runs {
		batch = append(batch, persistence.Insert{
			Run: workflow.NewRunID(), Workflow: "heritage", Version: 1, Step: "only", Queue: "default", Input: []byte(`{}`), Owner: boot.ID,
		})
	}
	for some := range slices.Chunk(batch, 200) {
		if _, err := store.Commit(tb.Context(), some); err != nil {
			tb.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		tb.Fatal(err)
	}
	until(tb, "the lock is free", func() bool { return s.db.lockHolder(tb, node{boot: boot}) == 0 })
	return boot.ID
}

// inherit suspects a dead boot, with a witness, waits for the steps of all its
// runs, and returns when the first began.
func (s successor) inherit(tb testing.TB, boot persistence.BootID, runs int) (first time.Duration) {
	tb.Helper()
	suspected := time.Now()
	s.Suspect(actors.Suspicion{Boot: boot, By: "refused", Witness: true})
	for i := range runs {
		select {
		case began := <-s.began:
			if i == 0 {
				first = began.Sub(suspected)
			}
		case <-time.After(patience):
			tb.Fatalf("%d of %d runs of the dead go on", i, runs)
		}
	}
	return first
}

// takeover reads the record of one that is known to have gone on.
func (s successor) takeover(tb testing.TB, boot persistence.BootID) (found persistence.Takeover) {
	tb.Helper()
	until(tb, "the takeover is recorded to its end", func() bool {
		list, err := s.Takeovers(tb.Context(), 1)
		if err != nil || len(list) != 1 || list[0].Boot != boot {
			tb.Fatalf("takeovers %+v, %v; want that of %s", list, err, boot)
		}
		found = list[0]
		return found.ResumedAt != nil
	})
	return found
}

func TestRunsOfTheDeadGoOnOnTheWordOfOthersAndAFreeLock(t *testing.T) {
	t.Parallel()
	s := newSuccessor(t)
	const runs = 70 // more than one batch
	dead := s.bequeath(t, runs)
	s.inherit(t, dead, runs)
	got := s.takeover(t, dead)
	if got.Ground != persistence.Crashed || got.Released != runs || got.Quarantined != 0 || got.Judge == "" {
		t.Errorf("takeover %+v, want one of %d runs that crashed", got, runs)
	}
	if got.SuspectedAt.After(got.DeclaredAt) || got.DeclaredAt.After(*got.ClaimedAt) || got.ClaimedAt.After(*got.ResumedAt) {
		t.Errorf("takeover %+v, want its times in order", got)
	}
}

func TestRunsThatSeveralNodesReleaseAreCountedOnce(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t)}
	judge := joined(t, "judge", cfg)
	const runs = 40
	for _, label := range []string{"first", "second"} {
		dead := joined(t, label, cfg)
		for range runs {
			dead.start(t)
		}
		dead.crash(t)
		if !judge.declare(t, dead, persistence.Crashed, 0) {
			t.Fatal("not declared dead")
		}
	}
	var releasing sync.WaitGroup
	for range 4 {
		releasing.Go(func() {
			for {
				some, err := judge.Reassign(t.Context(), 3)
				if err != nil {
					t.Errorf("reassign: %v", err)
				}
				if some.Released == 0 {
					return
				}
			}
		})
	}
	releasing.Wait()
	list, err := judge.Takeovers(t.Context(), 10)
	if err != nil || len(list) != 2 || list[0].Released != runs || list[1].Released != runs {
		t.Errorf("takeovers %+v, %v; want two of %d runs", list, err, runs)
	}
}

func TestProcessThatTakesALabelFromTheDeadLeavesARecord(t *testing.T) {
	t.Parallel()
	cfg := postgres.Config{URL: testpostgres.URL(t), LeaseTerm: 500 * time.Millisecond}
	dead := joined(t, "a", cfg)
	dead.crash(t)
	again := joined(t, "a", cfg)
	list, err := again.Takeovers(t.Context(), 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("takeovers %+v, %v; want one", list, err)
	}
	if got := list[0]; got.Boot != dead.boot.ID || got.Judge != "" || got.DetectedBy != persistence.ByJoin || got.Ground != persistence.Crashed {
		t.Errorf("takeover %+v, want that of the boot that had the label", got)
	}
}

// BenchmarkTakeover measures from the suspicion of a dead boot, whose session is
// gone, to the first new step of its runs, and where that time goes.
func BenchmarkTakeover(b *testing.B) {
	s := newSuccessor(b)
	for _, runs := range []int{1, 1000} {
		b.Run(fmt.Sprintf("runs=%d", runs), func(b *testing.B) {
			phases := map[string][]time.Duration{}
			for b.Loop() {
				b.StopTimer()
				dead := s.bequeath(b, runs)
				b.StartTimer()
				first := s.inherit(b, dead, runs)
				b.StopTimer()
				t := s.takeover(b, dead)
				for phase, took := range map[string]time.Duration{
					"first-step":  first,
					"to-declared": t.DeclaredAt.Sub(t.SuspectedAt),
					"to-claimed":  t.ClaimedAt.Sub(t.SuspectedAt),
					"to-resumed":  t.ResumedAt.Sub(t.SuspectedAt),
				} {
					phases[phase] = append(phases[phase], took)
				}
				b.StartTimer()
			}
			for phase, all := range phases {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, phase+"-p50-ms")
				b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, phase+"-max-ms")
			}
		})
	}
}
