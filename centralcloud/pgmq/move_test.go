package pgmq_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
	"singularity/internal/testpostgres"
)

// The steps to the extension, as the documentation has them, with an extension of
// the same shape. Only a superuser may create it, so the functions are ours at first.
func TestMovingToTheExtensionLosesNoMessage(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Config{Extensions: extension(t, "1.11.0", true)})
	url := server.URL(testpostgres.Database)
	admin := connect(t, server.AdminURL(testpostgres.Database))
	up(t, url)
	d := &database{t, connect(t, url), url}
	fillQueues(d)
	const contents = `
		SELECT string_agg(m::text, E'\n' ORDER BY m::text)
		FROM (
			SELECT 'q_jobs', q.* FROM pgmq.q_jobs AS q WHERE msg_id <= 5 UNION ALL
			SELECT 'a_jobs', msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers FROM pgmq.a_jobs UNION ALL
			SELECT 'q_quick', q.* FROM pgmq.q_quick AS q
		) AS m`
	before := one[string](d, contents)
	meta := all[string](d, `SELECT m::text FROM pgmq.list_queues() AS m ORDER BY 1`)

	sending := startSending(t, url)
	acknowledged := sending.next(t, 20)
	if _, err := admin.Exec(t.Context(), stepsToExtension(t), pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	acknowledged = append(acknowledged, sending.next(t, len(sending.acknowledged)+20)...)
	acknowledged = append(acknowledged, sending.stop()...)

	if after := one[string](d, contents); after != before {
		t.Errorf("messages after the move:\n%s\nwant those of before:\n%s", after, before)
	}
	if after := all[string](d, `SELECT m::text FROM pgmq.list_queues() AS m ORDER BY 1`); !slices.Equal(after, meta) {
		t.Errorf("queues %q, want %q", after, meta)
	}
	stored := all[int64](d, `SELECT msg_id FROM pgmq.q_jobs`)
	for _, id := range acknowledged {
		if !slices.Contains(stored, id) {
			t.Errorf("message %d was acknowledged while queues moved, and is gone", id)
		}
	}
	d.holds(`SELECT to_regnamespace('pgmq_before') IS NULL`)
	d.holds(`SELECT extversion = '1.11.0' FROM pg_extension WHERE extname = 'pgmq'`)
	worksAfterMove(d)
}

// fillQueues leaves messages of all kinds.
func fillQueues(d *database) {
	d.Helper()
	d.create("jobs")
	d.create("Empty")
	d.exec(`SELECT pgmq.create_unlogged('quick')`)
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3}', '{"{\"h\": 1}",NULL,NULL}'::jsonb[])`)
	d.exec(`SELECT pgmq.read('jobs', 3600, 1)`)
	d.exec(`SELECT pgmq.archive('jobs', 2)`)
	d.exec(`SELECT pgmq.send('jobs', '4', 3600)`)
	d.rolledBack(func() { d.exec(`SELECT pgmq.send('jobs', '5')`) })
	d.exec(`SELECT pgmq.send('quick', '1')`)
	d.exec(`SELECT pgmq.enable_notify_insert('quick', 0)`)
}

// stepsToExtension reads the documentation.
func stepsToExtension(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/pgmq.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```sql\n")
	steps, _, _ := strings.Cut(rest, "```")
	return steps
}

// worksAfterMove uses the queues as the role that made them.
func worksAfterMove(d *database) {
	d.Helper()
	listener := d.another()
	listener.exec(`LISTEN "pgmq.q_quick.INSERT"`)
	d.returns([]int64{2}, `SELECT pgmq.send('quick', '2')`)
	if got := heard(listener); len(got) != 1 {
		d.Errorf("heard %q, want one notification", got)
	}
	d.returns([]int64{1}, `SELECT pgmq.send('Empty', '1')`)
	d.exec(`SELECT pgmq.set_vt('jobs', 1, 0)`)
	d.holds(`SELECT msg_id = 1 AND read_ct = 2 FROM pgmq.read('jobs', 60, 1)`)
	d.holds(`SELECT pgmq.archive('jobs', 1)`)
	d.create("made_later")
	d.returns([]int64{1}, `SELECT pgmq.send('made_later', '1')`)
	d.holds(`SELECT pgmq.drop_queue('quick')`)
	if applied := up(d.T, d.url); len(applied) != 0 {
		d.Errorf("applied %+v, want nothing", applied)
	}
	d.holds(`SELECT obj_description('pgmq'::regnamespace, 'pg_namespace') IS NULL`)
	if _, err := open(d, d.url).Send(d.Context(), "jobs", centralcloud.Draft{Body: []byte(`1`)}); err != nil {
		d.Error(err)
	}
}

// sender sends one message after the other to the queue jobs.
type sender struct {
	acknowledged chan int64
	stops        context.CancelFunc
}

// startSending sends until it is stopped. Calls that fail meanwhile were not
// acknowledged.
func startSending(t *testing.T, url string) *sender {
	t.Helper()
	store := open(t, url)
	ctx, stop := context.WithCancel(t.Context())
	s := &sender{make(chan int64, 10_000), stop}
	go func() {
		defer close(s.acknowledged)
		for ctx.Err() == nil {
			if id, err := store.Send(ctx, "jobs", centralcloud.Draft{Body: []byte(`0`)}); err == nil {
				s.acknowledged <- id
			}
		}
	}()
	return s
}

// next is so many acknowledged messages.
func (s *sender) next(t *testing.T, messages int) []int64 {
	t.Helper()
	late := time.After(time.Minute)
	var ids []int64
	for range messages {
		select {
		case id := <-s.acknowledged:
			ids = append(ids, id)
		case <-late:
			t.Fatalf("%d messages of %d were acknowledged within a minute", len(ids), messages)
		}
	}
	return ids
}

// stop returns what was not asked for.
func (s *sender) stop() []int64 {
	s.stops()
	var ids []int64
	for id := range s.acknowledged {
		ids = append(ids, id)
	}
	return ids
}
