//go:build unix

package sqlite_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// BenchmarkCommit commits checkpoints in batches, as the journal does. An
// operation is one checkpoint; µs-cpu/op is what the whole process spent on it.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{170, 1000} {
		for _, batch := range []int{1, 8, 64, 256} {
			b.Run(fmt.Sprintf("state=%d/batch=%d", size, batch), func(b *testing.B) {
				benchmarkCommit(b, size, batch)
			})
		}
	}
}

// BenchmarkBareCommit is what a commit of one small row costs on such a
// database: the floor for a lone checkpoint.
func BenchmarkBareCommit(b *testing.B) {
	store := openIn(b, b.TempDir())
	db := store.outside(b)
	for _, setup := range []string{`PRAGMA synchronous = full`, `CREATE TABLE bare (id INTEGER PRIMARY KEY, value TEXT)`} {
		if _, err := db.ExecContext(b.Context(), setup); err != nil {
			b.Fatal(err)
		}
	}
	db.SetMaxOpenConns(1)
	stmt, err := db.PrepareContext(b.Context(), `INSERT INTO bare (value) VALUES ('x')`)
	if err != nil {
		b.Fatal(err)
	}
	defer stmt.Close()
	measure(b, func() {
		for range b.N {
			if _, err := stmt.ExecContext(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// stepsOfRun is how many checkpoints a run of the benchmark has: as many runs
// as a batch has room for take them in step, then the next ones begin.
const stepsOfRun = 8

func benchmarkCommit(b *testing.B, size, batch int) {
	store := openIn(b, b.TempDir())
	boot := persistence.BootID(workflow.NewRunID().String())
	if err := store.Join(b.Context(), persistence.Boot{ID: boot, Instance: "bench"}); err != nil {
		b.Fatal(err)
	}
	var runs []workflow.RunID
	for len(runs)*stepsOfRun < b.N+batch*stepsOfRun {
		runs = append(runs, insert(b, store, boot, 256)...)
	}
	state := bytes.Repeat([]byte("x"), size)
	writes := make([]persistence.Write, batch)
	measure(b, func() {
		for done := 0; done < b.N; done += batch {
			round := done / batch
			first, seq := round/stepsOfRun*batch, int64(round%stepsOfRun)
			for i := range writes {
				writes[i] = step(persistence.Fence{Run: runs[first+i], Boot: boot, Epoch: 1, Seq: seq}, state)
			}
			commit(b, store, writes[:min(batch, b.N-done)])
		}
	})
}

// BenchmarkRun takes runs of three steps through their life, 64 at a time.
func BenchmarkRun(b *testing.B) {
	const flight = 64
	for _, claimed := range []bool{false, true} {
		b.Run(fmt.Sprintf("claimed=%t", claimed), func(b *testing.B) {
			store := openIn(b, b.TempDir())
			boot := persistence.BootID(workflow.NewRunID().String())
			if err := store.Join(b.Context(), persistence.Boot{ID: boot, Instance: "bench"}); err != nil {
				b.Fatal(err)
			}
			owner := boot
			if claimed {
				owner = ""
			}
			state := bytes.Repeat([]byte("x"), 170)
			measure(b, func() {
				for done := 0; done < b.N; done += flight {
					runs := insert(b, store, owner, min(flight, b.N-done))
					if claimed {
						commit(b, store, []persistence.Write{persistence.Claim{
							ID: workflow.NewRunID().String(), Boot: boot, Queue: "default", Limit: flight,
							Known: []persistence.Definition{{Workflow: "order", Version: 1}},
						}})
					}
					for seq := range int64(3) {
						var writes []persistence.Write
						for _, run := range runs {
							w := step(persistence.Fence{Run: run, Boot: boot, Epoch: 1, Seq: seq}, state)
							if seq == 2 {
								w.State, w.Entry.Output = workflow.Completed, state
							}
							writes = append(writes, w)
						}
						commit(b, store, writes)
					}
				}
			})
		})
	}
}

// BenchmarkBacklog looks at, and claims from, a queue in which a million runs
// are scheduled for the next minutes and 100,000 can be claimed.
func BenchmarkBacklog(b *testing.B) {
	const fill = `
		WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
		INSERT INTO workflow_runs (id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, entry, input, created_at, updated_at)
		SELECT printf('01900000-0000-7000-%04x-%012x', ?1, n), 'order', 1, x'', iif(?1 = 1, 'scheduled', 'available'), 'default', n % 10,
			?3 + n * ?4, ?3 + n * ?4 + n % 10 * 60000000, 'reserve', 0, 0, 0, 0
		FROM numbers`
	store := openIn(b, b.TempDir())
	boot := persistence.BootID(workflow.NewRunID().String())
	if err := store.Join(b.Context(), persistence.Boot{ID: boot, Instance: "bench"}); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	db := store.outside(b)
	for _, args := range [][]any{
		{1, 1_000_000, now.Add(2 * time.Minute).UnixMicro(), 100},
		{2, 100_000, now.Add(-time.Hour).UnixMicro(), 1},
	} {
		if _, err := db.ExecContext(b.Context(), fill, args...); err != nil {
			b.Fatal(err)
		}
	}
	known := []persistence.Definition{{Workflow: "order", Version: 1}, {Workflow: "refund", Version: 3}}
	b.Run("look", func(b *testing.B) {
		measure(b, func() {
			for range b.N {
				if backlog, err := store.Backlog(b.Context(), known); err != nil || len(backlog) != 1 || !backlog[0].Due || backlog[0].Next == 0 {
					b.Fatalf("backlog %+v, %v", backlog, err)
				}
			}
		})
	})
	for _, limit := range []int{1, 64} {
		b.Run(fmt.Sprintf("claim=%d", limit), func(b *testing.B) {
			measure(b, func() {
				for range b.N {
					commit(b, store, []persistence.Write{persistence.Claim{
						ID: workflow.NewRunID().String(), Boot: boot, Queue: "default", Limit: limit, Known: known,
					}})
				}
			})
		})
	}
}

func step(fence persistence.Fence, state []byte) persistence.Advance {
	return persistence.Advance{
		Fence: fence, State: workflow.Running, Step: "call_llm_provider",
		Entry: &persistence.Entry{
			Step: "select_model", Attempt: 1, Outcome: workflow.StepCompleted, State: state,
			StartedAt: time.Now(), FinishedAt: time.Now(),
		},
	}
}

func commit(b *testing.B, store persistence.Store, writes []persistence.Write) {
	b.Helper()
	verdicts, err := store.Commit(b.Context(), writes)
	if err != nil {
		b.Fatal(err)
	}
	for _, verdict := range verdicts {
		if verdict.Err != nil {
			b.Fatal(verdict.Err)
		}
	}
}

func measure(b *testing.B, work func()) {
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	work()
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "µs-cpu/op")
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
