package proof

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/sqlite"
	"singularity/internal/testpostgres"
)

var loadFor = flag.Duration("proof.load", 6*time.Minute, "for how long a hub is measured that a hundred nodes report to: more than the five minutes after which it looks for patterns")

// BenchmarkHubOfAHundredNodes measures which part of a processor a hub takes, and
// which its sessions of Postgres do, while a hundred nodes report to it every 30 s
// and read what it teaches every 10 s. Run it with -benchtime 1x -timeout 20m.
func BenchmarkHubOfAHundredNodes(b *testing.B) {
	b.Run("postgres", func(b *testing.B) {
		server := testpostgres.Start(b, testpostgres.Config{Durable: true})
		url := server.URL(testpostgres.Database)
		if _, err := pgmq.MigrateUp(b.Context(), url); err != nil {
			b.Fatal(err)
		}
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
		l := newLoad(b, loadedHubTask{URL: url}, func(ctx context.Context, call func(centralcloud.Queue) error) error {
			return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return call(pgmq.In(tx)) })
		})
		l.sessions = func() []int { return hubSessions(b, conn) }
		l.measure()
	})
	b.Run("sqlite", func(b *testing.B) {
		dir := b.TempDir()
		store, err := sqlite.Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = store.Close() })
		newLoad(b, loadedHubTask{Dir: dir}, func(_ context.Context, call func(centralcloud.Queue) error) error { return call(store) }).measure()
	})
}

const selectHubSessions = `SELECT pid FROM pg_stat_activity WHERE application_name = 'singularity/centralcloud'`

// hubSessions are the processes of Postgres that serve the hub.
func hubSessions(b *testing.B, conn *pgx.Conn) []int {
	b.Helper()
	rows, _ := conn.Query(b.Context(), selectHubSessions)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	return pids
}

// load is a hub with nodes that report to it.
type load struct {
	*testing.B
	task     loadedHubTask
	queues   hubQueues
	nodes    []*loadNode
	sessions func() []int // of the hub; nil where there are none

	messages, bytes int
}

func newLoad(b *testing.B, task loadedHubTask, queues hubQueues) *load {
	b.Helper()
	l := &load{B: b, task: task, queues: queues}
	for i := range loadNodes {
		node := newLoadNode(i)
		l.nodes = append(l.nodes, node)
		l.must(node.greet(b.Context(), queues))
	}
	return l
}

func (l *load) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// measure reports the parts of a processor, after a round in which all begins.
func (l *load) measure() {
	hub := spawn(l.B, beLoadedHub, l.task)
	l.run(reportsEvery)
	l.messages, l.bytes = 0, 0
	for l.Loop() {
		began := time.Now()
		used := l.used(hub.Process.Pid)
		l.run(*loadFor)
		wall := time.Since(began)
		hubUsed, postgresUsed := l.difference(used, l.used(hub.Process.Pid), hub.Process.Pid)
		l.ReportMetric(100*hubUsed.Seconds()/wall.Seconds(), "hub-%core")
		if l.sessions != nil {
			l.ReportMetric(100*postgresUsed.Seconds()/wall.Seconds(), "postgres-%core")
		}
		l.ReportMetric(float64(l.messages)/wall.Minutes(), "messages/min")
		l.ReportMetric(float64(l.bytes)/float64(l.messages), "B/message")
		l.ReportMetric(0, "ns/op")
	}
	l.checkCounted()
}

// run has all nodes report and listen, spread evenly, for a time.
func (l *load) run(d time.Duration) {
	const step = reportsEvery / loadNodes
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for turn := range int(d / step) {
		node := l.nodes[turn%loadNodes]
		bytes, err := node.report(l.Context(), l.queues)
		l.must(err)
		l.messages++
		l.bytes += bytes
		for i := range int(reportsEvery / readsEvery) {
			l.must(l.nodes[(turn+i*loadNodes/3)%loadNodes].listen(l.Context(), l.queues))
		}
		select {
		case <-ticker.C:
		case <-l.Context().Done():
			l.Fatal(l.Context().Err())
		}
	}
}

// checkCounted wants each call to be counted once.
func (l *load) checkCounted() {
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	store, err := l.task.open(ctx)
	l.must(err)
	defer func() { _ = store.Close() }()
	for pause := time.NewTicker(100 * time.Millisecond); ; {
		metrics, err := store.QueueMetrics(ctx, centralcloud.UpQueue)
		l.must(err)
		if metrics.Length == 0 {
			break
		}
		<-pause.C
	}
	counted, made := 0, 0
	l.must(store.Rows(ctx, func(row centralcloud.Row) error {
		counted += int(row.Revision)
		return nil
	}))
	for _, node := range l.nodes {
		made += node.made
	}
	if counted != made {
		l.Errorf("%d calls are counted of %d", counted, made)
	}
}

// used is what processes have used of processors: the hub and its sessions.
func (l *load) used(hub int) map[int]time.Duration {
	pids := []int{hub}
	if l.sessions != nil {
		pids = append(pids, l.sessions()...)
	}
	used := map[int]time.Duration{}
	for _, pid := range pids {
		var err error
		used[pid], err = processorTime(pid)
		l.must(err)
	}
	return used
}

// difference is how much the hub and its sessions used between two looks. What a
// session used that ended in between is not known.
func (l *load) difference(before, after map[int]time.Duration, hub int) (hubUsed, sessionsUsed time.Duration) {
	for pid, used := range after {
		if pid == hub {
			hubUsed = used - before[pid]
		} else {
			sessionsUsed += used - before[pid]
		}
	}
	return hubUsed, sessionsUsed
}

// clockTick is the unit of times in /proc, the same on every Linux that Go knows.
const clockTick = 10 * time.Millisecond

// processorTime is what a process has used so far, in user and system mode.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may have spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, errUser := strconv.Atoi(fields[11])
	system, errSystem := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick, errors.Join(errUser, errSystem)
}
