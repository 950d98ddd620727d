//go:build linux

package postgres_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// BenchmarkCommit commits checkpoints in batches, as the journal does. An
// operation is one checkpoint; client-µs/op and server-µs/op are the time on
// the processor that this process and the server spent on it.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{170, 1000} {
		for _, batch := range []int{1, 8, 64, 250} {
			b.Run(fmt.Sprintf("state=%d/batch=%d", size, batch), func(b *testing.B) {
				benchmarkCommit(b, benchmarked(b), size, batch)
			})
		}
	}
}

// BenchmarkPartitions compares stores by their partitions, 0 for one table: a
// checkpoint, a claimed run with its three, and a look at a run.
func BenchmarkPartitions(b *testing.B) {
	for _, days := range []int{0, 5, 10, 35} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("checkpoint/days=%d/batch=%d", days, batch), func(b *testing.B) {
				benchmarkCommit(b, withDays(b, days), 1000, batch)
			})
		}
		b.Run(fmt.Sprintf("run/days=%d", days), func(b *testing.B) {
			benchmarkRun(b, withDays(b, days), true)
		})
		b.Run(fmt.Sprintf("read/days=%d", days), func(b *testing.B) {
			store := withDays(b, days)
			run := store.insert(b, store.boot, 1)[0]
			store.measure(b, func() {
				for range b.N {
					if _, err := store.Run(b.Context(), run); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// withDays is a store with partitions for so many days up to the one after
// tomorrow, beside the two for the rest.
func withDays(b *testing.B, count int) bench {
	b.Helper()
	store := benchmarked(b)
	if count > 0 {
		partitionAt(b, store.url, daysAgo(count-1))
	}
	const day = `CREATE TABLE %s PARTITION OF step_checkpoints FOR VALUES FROM ('%s') TO ('%s')`
	conn := store.outside(b)
	for n := range count - 1 {
		from := daysAgo(n - 2).Truncate(24 * time.Hour)
		if _, err := conn.Exec(b.Context(), fmt.Sprintf(day, tableOf(from), postgres.FirstID(from), postgres.FirstID(from.AddDate(0, 0, 1)))); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

// stepsOfRun is how many checkpoints a run of the benchmark has: as many runs
// as a batch has room for take them in step, then the next ones begin.
const stepsOfRun = 8

func benchmarkCommit(b *testing.B, store bench, size, batch int) {
	var runs []workflow.RunID
	for len(runs)*stepsOfRun < b.N+batch*stepsOfRun {
		runs = append(runs, store.insert(b, store.boot, 250)...)
	}
	state := bytes.Repeat([]byte("x"), size)
	writes := make([]persistence.Write, batch)
	store.measure(b, func() {
		for done := 0; done < b.N; done += batch {
			round := done / batch
			first, seq := round/stepsOfRun*batch, int64(round%stepsOfRun)
			for i := range writes {
				writes[i] = step(persistence.Fence{Run: runs[first+i], Boot: store.boot, Epoch: 1, Seq: seq}, state)
			}
			store.commit(b, writes[:min(batch, b.N-done)]...)
		}
	})
}

// BenchmarkBareCommit is what a lone checkpoint costs on a bare connection, in
// two statements and one round trip: the floor.
func BenchmarkBareCommit(b *testing.B) {
	store := benchmarked(b)
	var runs []workflow.RunID
	for len(runs)*stepsOfRun < b.N+stepsOfRun {
		runs = append(runs, store.insert(b, store.boot, 250)...)
	}
	conn := store.outside(b)
	state := strings.Repeat("x", 170)
	store.measure(b, func() {
		for done := range b.N {
			run, seq := [16]byte(runs[done/stepsOfRun]), done%stepsOfRun
			batch := &pgx.Batch{}
			batch.Queue(`UPDATE workflow_runs SET step = $1, seq = seq + 1, updated_at = now() WHERE id = $2 AND seq = $3`, "pay", run, seq)
			batch.Queue(`INSERT INTO step_checkpoints (run_id, seq, step, outcome, state, started_at, finished_at) VALUES ($1, $2, $3, 'completed', $4, now(), now())`,
				run, seq+1, "reserve", state)
			if err := conn.SendBatch(b.Context(), batch).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRun takes runs of three steps through their life, 64 at a time.
func BenchmarkRun(b *testing.B) {
	for _, claimed := range []bool{false, true} {
		b.Run(fmt.Sprintf("claimed=%t", claimed), func(b *testing.B) {
			benchmarkRun(b, benchmarked(b), claimed)
		})
	}
}

func benchmarkRun(b *testing.B, store bench, claimed bool) {
	const flight = 64
	owner := store.boot
	if claimed {
		owner = ""
	}
	state := bytes.Repeat([]byte("x"), 170)
	store.measure(b, func() {
		for done := 0; done < b.N; done += flight {
			runs := store.insert(b, owner, min(flight, b.N-done))
			if claimed {
				store.commit(b, store.claim(flight))
			}
			for seq := range int64(3) {
				var writes []persistence.Write
				for _, run := range runs {
					w := step(persistence.Fence{Run: run, Boot: store.boot, Epoch: 1, Seq: seq}, state)
					if seq == 2 {
						w.State, w.Entry.Output = workflow.Completed, state
					}
					writes = append(writes, w)
				}
				store.commit(b, writes...)
			}
		}
	})
}

// BenchmarkBacklog looks at, and claims from, a queue in which a million runs
// are scheduled for the next minutes and 100,000 can be claimed.
func BenchmarkBacklog(b *testing.B) {
	store := benchmarked(b)
	store.fill(b, 1_000_000, "scheduled", 2*time.Minute)
	store.fill(b, 100_000, "available", -time.Hour)
	b.Run("look", func(b *testing.B) {
		store.measure(b, func() {
			for range b.N {
				if backlog, err := store.Backlog(b.Context(), definitions); err != nil || len(backlog) != 1 || !backlog[0].Due || backlog[0].Next == 0 {
					b.Fatalf("backlog %+v, %v", backlog, err)
				}
			}
		})
	})
	for _, limit := range []int{1, 64} {
		b.Run(fmt.Sprintf("claim=%d", limit), func(b *testing.B) {
			store.measure(b, func() {
				for range b.N {
					store.commit(b, store.claim(limit))
				}
			})
		})
	}
}

// BenchmarkDrain claims from a queue of a million runs, 250 at a time, until
// half of them are gone. An operation is one claim.
func BenchmarkDrain(b *testing.B) {
	store := benchmarked(b)
	store.fill(b, 1_000_000, "available", -time.Hour)
	for _, part := range []string{"first", "second", "third", "fourth"} {
		b.Run(part, func(b *testing.B) {
			store.measure(b, func() {
				for range b.N {
					store.commit(b, store.claim(250))
				}
			})
		})
	}
}

// bench is a store in which one boot lives for the length of a benchmark.
type bench struct {
	*opened
	boot persistence.BootID
}

var definitions = []persistence.Definition{{Workflow: "order", Version: 1}, {Workflow: "refund", Version: 3}}

func benchmarked(b *testing.B) bench {
	b.Helper()
	store := openAt(b, postgres.Config{URL: testpostgres.URL(b), LeaseTerm: time.Hour})
	boot := persistence.BootID(workflow.NewRunID().String())
	if err := store.Join(b.Context(), persistence.Boot{ID: boot, Instance: "bench"}); err != nil {
		b.Fatal(err)
	}
	return bench{store, boot}
}

// fill adds runs to a queue, the first of them due in some time.
func (s bench) fill(b *testing.B, count int, state string, due time.Duration) {
	b.Helper()
	const query = `
		INSERT INTO workflow_runs (id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, created_at, updated_at)
		SELECT (($4 || lpad(to_hex(n), 12, '0')))::uuid, 'order', 1, '', $2, 'default', n % 10, now() + $3::interval + n * interval '100 us',
			now() + $3::interval + n * interval '100 us' + n % 10 * interval '1 minute', 'reserve', now(), now()
		FROM generate_series(1, $1) AS n`
	conn := s.outside(b)
	for _, statement := range []string{query, `VACUUM ANALYZE workflow_runs`} {
		var args []any
		if statement == query {
			args = []any{count, state, due, "01900000-0000-7000-" + map[string]string{"available": "8000-", "scheduled": "9000-"}[state]}
		}
		if _, err := conn.Exec(b.Context(), statement, args...); err != nil {
			b.Fatal(err)
		}
	}
}

func (s bench) claim(limit int) persistence.Claim {
	return persistence.Claim{ID: workflow.NewRunID().String(), Boot: s.boot, Queue: "default", Limit: limit, Known: definitions}
}

func (s bench) insert(b *testing.B, owner persistence.BootID, count int) []workflow.RunID {
	b.Helper()
	var batch []persistence.Write
	var ids []workflow.RunID
	for range count {
		id := workflow.NewRunID()
		ids = append(ids, id)
		batch = append(batch, persistence.Insert{
			Run: id, Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(`{}`), Owner: owner,
		})
	}
	s.commit(b, batch...)
	return ids
}

func (s bench) commit(b *testing.B, writes ...persistence.Write) {
	b.Helper()
	verdicts, err := s.Commit(b.Context(), writes)
	if err != nil {
		b.Fatal(err)
	}
	for _, verdict := range verdicts {
		if verdict.Err != nil {
			b.Fatal(verdict.Err)
		}
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

func (s bench) measure(b *testing.B, work func()) {
	b.ReportAllocs()
	client, server := processTime(b, os.Getpid()), s.serverTime(b)
	b.ResetTimer()
	work()
	b.StopTimer()
	b.ReportMetric(float64((processTime(b, os.Getpid())-client).Microseconds())/float64(b.N), "client-µs/op")
	b.ReportMetric(float64((s.serverTime(b)-server).Microseconds())/float64(b.N), "server-µs/op")
}

// serverTime is what the processes of the server have spent so far.
func (s bench) serverTime(b *testing.B) time.Duration {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), s.url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	rows, err := conn.Query(b.Context(), `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()`)
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	var total time.Duration
	for _, pid := range pids {
		total += processTime(b, pid)
	}
	return total
}

// processTime is what a process has spent so far, from /proc/pid/stat, which
// counts in hundredths of a second.
func processTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	if pid == os.Getpid() {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has ended
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
