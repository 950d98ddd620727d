package pgmq_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestNamesAreLimitedAndFolded(t *testing.T) {
	t.Parallel()
	d := setup(t)
	longest := strings.Repeat("n", 47)
	d.create(longest)
	d.exec(`SELECT pgmq.send($1, '1')`, longest)
	d.holds(`SELECT total_messages = 1 FROM pgmq.metrics($1)`, longest)
	for _, create := range []string{"create", "create_non_partitioned", "create_unlogged", "validate_queue_name"} {
		d.fails(raised, "queue name is too long, maximum length is 47 characters", `SELECT pgmq.`+create+`($1)`, longest+"n")
	}
	for _, name := range []string{"a b", "a.b", "a-b", "a:b", `a"b`, "", "ü"} {
		d.create(name)
		d.returns([]int64{1}, `SELECT pgmq.send($1, '1')`, name)
		d.returns([]int64{1}, `SELECT msg_id FROM pgmq.pop($1)`, name)
	}
	d.holds(`SELECT to_regclass('pgmq.q_') IS NOT NULL`)
	d.holds(`SELECT pgmq.format_table_name('Jobs', 'q') = 'q_jobs'`)
	d.create("Jobs")
	d.returns([]int64{1}, `SELECT pgmq.send('jobs', '1')`)
	d.returns([]int64{1}, `SELECT msg_id FROM pgmq.read('JOBS', 0, 1)`)
	d.holds(`SELECT count(*) = 1 FROM pgmq.list_queues() WHERE queue_name = 'Jobs'`)
}

// ofQueue are calls of every function that takes the name of a queue.
var ofQueue = []string{
	`send($1, '1')`, `send($1, '1', 1)`, `send($1, '1', now())`, `send($1, '1', '{}'::jsonb)`, `send($1, '1', '{}', 1)`, `send($1, '1', '{}', now())`,
	`send_batch($1, '{1}')`, `send_batch($1, '{1}', 1)`, `send_batch($1, '{1}', now())`, `send_batch($1, '{1}', '{1}'::jsonb[])`,
	`send_batch($1, '{1}', '{1}', 1)`, `send_batch($1, '{1}', '{1}', now())`,
	`read($1, 1, 1)`, `read($1, 1, 1, '{"a": 1}')`, `read_with_poll($1, 1, 1)`, `pop($1)`, `pop($1, 2)`,
	`set_vt($1, 1, 1)`, `set_vt($1, 1, now())`, `set_vt($1, '{1}'::bigint[], 1)`, `set_vt($1, '{1}'::bigint[], now())`,
	`delete($1, 1)`, `delete($1, '{1}'::bigint[])`, `archive($1, 1)`, `archive($1, '{1}'::bigint[])`,
	`purge_queue($1)`, `metrics($1)`,
}

func TestMissingQueuesAreNamed(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, call := range ofQueue {
		d.fails(noTable, "q_missing", `SELECT pgmq.`+call, "Missing")
	}
}

func TestNamesThatCouldBreakOutAreRefused(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, call := range append([]string{`create($1)`, `create_unlogged($1)`, `drop_queue($1)`, `enable_notify_insert($1)`, `format_table_name($1, 'q')`}, ofQueue...) {
		for _, name := range []string{"a$b", "a;b", "a--b", "a'b"} {
			d.fails(raised, "queue name contains invalid characters", `SELECT pgmq.`+call, name)
		}
	}
	for _, call := range append([]string{`create($1)`, `drop_queue($1)`}, ofQueue...) {
		d.fails(nullName, "", `SELECT pgmq.`+call, nil)
	}
}

func TestQueuesAreMadeOnceByManySessions(t *testing.T) {
	t.Parallel()
	d := setup(t)
	var makers sync.WaitGroup
	for range 8 {
		conn := connect(t, d.url)
		makers.Go(func() {
			for _, call := range []string{`create('jobs')`, `create_unlogged('quick')`, `drop_queue('other')`, `create('other')`} {
				if _, err := conn.Exec(t.Context(), `SELECT pgmq.`+call); err != nil {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
	makers.Wait()
	d.holds(`SELECT count(*) = 3 FROM pgmq.list_queues()`)
}

func TestCreateIsTransactionalAndTouchesNoQueue(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.rolledBack(func() {
		d.create("jobs")
		d.exec(`SELECT pgmq.send('jobs', '1')`)
	})
	d.fails(noTable, "q_jobs", `SELECT pgmq.send('jobs', '1')`)
	d.create("jobs")
	d.exec(`SELECT pgmq.send('jobs', '1')`)
	d.exec(`SELECT pgmq.archive('jobs', 1)`)
	d.create("jobs")
	d.exec(`SELECT pgmq.create_unlogged('jobs')`)
	d.returns([]int64{2}, `SELECT pgmq.send('jobs', '1')`)
	d.holds(`SELECT NOT is_unlogged FROM pgmq.list_queues()`)
	d.holds(`SELECT count(*) = 1 FROM pgmq.a_jobs`)
}

func TestUnloggedQueuesHaveALoggedArchive(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.exec(`SELECT pgmq.create_unlogged('quick')`)
	d.holds(`SELECT is_unlogged AND NOT is_partitioned FROM pgmq.list_queues()`)
	d.holds(`SELECT relpersistence = 'u' FROM pg_class WHERE oid = 'pgmq.q_quick'::regclass`)
	d.holds(`SELECT relpersistence = 'p' FROM pg_class WHERE oid = 'pgmq.a_quick'::regclass`)
}

func TestDropRemovesAllAndBeginsAnew(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send('jobs', '1')`)
	d.exec(`SELECT pgmq.enable_notify_insert('jobs')`)
	d.holds(`SELECT pgmq.drop_queue('jobs')`)
	d.holds(`SELECT to_regclass('pgmq.q_jobs') IS NULL AND to_regclass('pgmq.a_jobs') IS NULL`)
	d.holds(`SELECT count(*) = 0 FROM pgmq.list_queues()`)
	d.holds(`SELECT count(*) = 0 FROM pgmq.list_notify_insert_throttles()`)
	d.create("jobs")
	d.returns([]int64{1}, `SELECT pgmq.send('jobs', '1')`)
}

func TestDropOfAMissingQueueIsFalseWithANotice(t *testing.T) {
	t.Parallel()
	d := setup(t)
	notices := listenToNotices(d)
	d.holds(`SELECT NOT pgmq.drop_queue('missing')`)
	if got := *notices; len(got) != 1 || got[0].Severity != "NOTICE" {
		t.Errorf("notices %+v, want one", got)
	}
}

func TestDetachArchiveOnlyWarns(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	notices := listenToNotices(d)
	d.exec(`SELECT pgmq.detach_archive('jobs')`)
	if got := *notices; len(got) != 1 || got[0].Severity != "WARNING" {
		t.Errorf("notices %+v, want a warning", got)
	}
	d.holds(`SELECT to_regclass('pgmq.a_jobs') IS NOT NULL`)
}

// listenToNotices gives a database a new session, whose notices it keeps.
func listenToNotices(d *database) *[]*pgconn.Notice {
	d.Helper()
	var notices []*pgconn.Notice
	config := d.Config().Copy()
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { notices = append(notices, notice) }
	conn, err := pgx.ConnectConfig(d.Context(), config)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = conn.Close(d.Context()) })
	d.Conn = conn
	return &notices
}

func TestPurgeKeepsArchiveAndIDs(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3}')`)
	d.exec(`SELECT pgmq.archive('jobs', 1)`)
	d.exec(`SELECT pgmq.read('jobs', 60, 1)`)
	d.returns([]int64{2}, `SELECT pgmq.purge_queue('jobs')`)
	d.holds(`SELECT queue_length = 0 AND total_messages = 3 FROM pgmq.metrics('jobs')`)
	d.holds(`SELECT count(*) = 1 FROM pgmq.a_jobs`)
	d.returns([]int64{4}, `SELECT pgmq.send('jobs', '1')`)
}

func TestMetricsCount(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("Jobs")
	const empty = `
		SELECT queue_name = 'Jobs' AND queue_length = 0 AND queue_visible_length = 0 AND total_messages = 0 AND scrape_time = now()
			AND newest_msg_age_sec IS NULL AND oldest_msg_age_sec IS NULL
		FROM `
	d.holds(empty + `pgmq.metrics('Jobs')`)
	d.rolledBack(func() { d.exec(`SELECT pgmq.send('Jobs', '1')`) })
	d.exec(`SELECT pgmq.send_batch('Jobs', '{1,2,3}')`)
	d.exec(`SELECT pgmq.send('Jobs', '4', 60)`)
	d.exec(`UPDATE pgmq.q_jobs SET enqueued_at = now() - interval '90 seconds' WHERE msg_id = 2`)
	d.exec(`UPDATE pgmq.q_jobs SET enqueued_at = now() + interval '1 hour' - interval '1 hour' WHERE msg_id <> 2`)
	const filled = `
		SELECT queue_length = 4 AND queue_visible_length = 3 AND total_messages = 5
			AND newest_msg_age_sec BETWEEN 0 AND 30 AND oldest_msg_age_sec BETWEEN 90 AND 120
		FROM `
	d.holds(filled + `pgmq.metrics('Jobs')`)
	d.create("other")
	d.holds(`SELECT array_agg(queue_name ORDER BY queue_name COLLATE "C") = '{Jobs,other}' FROM pgmq.metrics_all()`)
	d.holds(filled + `pgmq.metrics_all() WHERE queue_name = 'Jobs'`)
}

func TestTwoSpellingsOfANameShareATable(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("X")
	d.create("x")
	d.holds(`SELECT count(*) = 2 FROM pgmq.list_queues()`)
	d.holds(`SELECT pgmq.drop_queue('x')`)
	d.holds(`SELECT array_agg(queue_name) = '{X}' FROM pgmq.list_queues()`)
	d.fails(noTable, "q_x", `SELECT pgmq.metrics_all()`)
}

func TestListedQueuesReadAsText(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	if text := one[string](d, `SELECT pgmq.list_queues()::text`); !strings.HasPrefix(text, `(jobs,f,f,"`) {
		t.Errorf("%s, want name, two flags and a time", text)
	}
}
