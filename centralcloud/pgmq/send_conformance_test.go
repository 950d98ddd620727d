package pgmq_test

import "testing"

func TestSendReturnsOneColumnNamedSend(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	for query, want := range map[string]string{
		`SELECT * FROM pgmq.send('jobs', '1')`:         "send",
		`SELECT * FROM pgmq.send_batch('jobs', '{1}')`: "send_batch",
		`SELECT pgmq.archive('jobs', '{1}'::bigint[])`: "archive",
		`SELECT pgmq.delete('jobs', '{1}'::bigint[])`:  "delete",
	} {
		rows, err := d.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if fields := rows.FieldDescriptions(); len(fields) != 1 || fields[0].Name != want {
			t.Errorf("%s: columns %+v, want %s", query, fields, want)
		}
		rows.Close()
	}
}

func TestSendTakesArgumentsByName(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	for _, call := range []string{
		`send(queue_name => 'jobs', msg => '1')`,
		`send(queue_name => 'jobs', msg => '1', delay => 60)`,
		`send(queue_name => 'jobs', msg => '1', delay => now() + interval '1 minute')`,
		`send(queue_name => 'jobs', msg => '1', headers => '{"h": 1}')`,
		`send(queue_name => 'jobs', msg => '1', headers => '{"h": 1}', delay => 60)`,
		`send(queue_name => 'jobs', msg => '1', headers => '{"h": 1}', delay => now() + interval '1 minute')`,
		`send_batch(queue_name => 'jobs', msgs => '{1}')`,
		`send_batch(queue_name => 'jobs', msgs => '{1}', delay => 60)`,
		`send_batch(queue_name => 'jobs', msgs => '{1}', delay => now() + interval '1 minute')`,
		`send_batch(queue_name => 'jobs', msgs => '{1}', headers => '{"{\"h\": 1}"}')`,
		`send_batch(queue_name => 'jobs', msgs => '{1}', headers => '{"{\"h\": 1}"}', delay => 60)`,
		`send_batch(queue_name => 'jobs', msgs => '{1}', headers => '{"{\"h\": 1}"}', delay => now() + interval '1 minute')`,
	} {
		d.exec(`SELECT pgmq.` + call)
	}
	d.returns([]int64{1, 4, 7, 10}, `SELECT msg_id FROM pgmq.q_jobs WHERE vt <= clock_timestamp() ORDER BY msg_id`)
	d.returns([]int64{4, 5, 6, 10, 11, 12}, `SELECT msg_id FROM pgmq.q_jobs WHERE headers = '{"h": 1}' ORDER BY msg_id`)
	d.holds(`SELECT bool_and(vt BETWEEN now() + interval '50 seconds' AND now() + interval '61 seconds') FROM pgmq.q_jobs WHERE msg_id IN (2, 3, 5, 6, 8, 9, 11, 12)`)
	d.holds(`SELECT bool_and(message = '1' AND read_ct = 0 AND last_read_at IS NULL) FROM pgmq.q_jobs`)
}

func TestIDsRiseByOneAndRollbacksLeaveGaps(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.create("other")
	d.returns([]int64{1}, `SELECT pgmq.send('jobs', '1')`)
	d.returns([]int64{1}, `SELECT pgmq.send('other', '1')`)
	d.rolledBack(func() { d.returns([]int64{2}, `SELECT pgmq.send('jobs', '1')`) })
	d.returns([]int64{3}, `SELECT pgmq.send('jobs', '1')`)
}

func TestIDsBecomeVisibleAtCommit(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	slow := d.another()
	slow.exec(`BEGIN`)
	slow.returns([]int64{1}, `SELECT pgmq.send('jobs', '1')`)
	d.returns([]int64{2}, `SELECT pgmq.send('jobs', '2')`)
	d.returns([]int64{2}, `SELECT msg_id FROM pgmq.read('jobs', 60, 10)`)
	slow.exec(`COMMIT`)
	d.returns([]int64{1}, `SELECT msg_id FROM pgmq.read('jobs', 60, 10)`)
}

func TestTimesAreThoseOfTransactionAndClock(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`BEGIN`)
	d.exec(`SELECT pg_sleep(0.01)`)
	d.exec(`SELECT pgmq.send('jobs', '1')`)
	d.holds(`SELECT enqueued_at = now() AND vt > now() + interval '10 milliseconds' AND vt <= clock_timestamp() FROM pgmq.q_jobs`)
	d.returns([]int64{1}, `SELECT msg_id FROM pgmq.read('jobs', 60, 1)`)
	d.exec(`COMMIT`)
}

func TestDelaysMayBeNegativeAndNotNull(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.returns([]int64{1}, `SELECT pgmq.send('jobs', '1', -60)`)
	d.returns([]int64{2}, `SELECT pgmq.send('jobs', '1', now() - interval '1 day')`)
	d.returns([]int64{3}, `SELECT pgmq.send('jobs', '1', 60)`)
	d.returns([]int64{1, 2}, `SELECT msg_id FROM pgmq.read('jobs', 60, 10) ORDER BY msg_id`)
	d.fails(notNull, "", `SELECT pgmq.send('jobs', '1', NULL::integer)`)
}

func TestMessagesAreAnyJSON(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send('jobs', NULL)`)
	d.exec(`SELECT pgmq.send('jobs', 'null')`)
	d.exec(`SELECT pgmq.send('jobs', '123456789012345678901234567890.123456789', NULL::jsonb)`)
	d.holds(`SELECT array_agg(message::text ORDER BY msg_id) IS NOT DISTINCT FROM '{NULL, "null", 123456789012345678901234567890.123456789}'::text[] FROM pgmq.q_jobs`)
	d.holds(`SELECT count(headers) = 0 FROM pgmq.q_jobs`)
}

func TestBatchesKeepOrderAndPairHeaders(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.returns([]int64{1, 2, 3}, `SELECT pgmq.send_batch('jobs', '{30,20,10}', '{1,NULL,3}'::jsonb[])`)
	d.holds(`SELECT array_agg(message::text || coalesce(headers::text, '-') ORDER BY msg_id) = '{301,20-,103}' FROM pgmq.q_jobs`)
	d.holds(`SELECT count(*) = 1000 FROM pgmq.send_batch('jobs', (SELECT array_agg(to_jsonb(n)) FROM generate_series(1, 1000) AS n))`)
	d.holds(`SELECT count(*) = 1003 AND bool_and(msg_id <= 3 OR message = to_jsonb(msg_id - 3)) FROM pgmq.q_jobs`)
}

func TestBatchesAreValidated(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	for _, arguments := range []string{
		`NULL::jsonb[]`, `'{}'::jsonb[]`, `'{}'::jsonb[], 1`, `'{1,2}', '{1}'::jsonb[]`, `'{1}', '{1,2}'::jsonb[], 1`, `'{1}', '{}'::jsonb[]`,
	} {
		d.fails(raised, "", `SELECT pgmq.send_batch('jobs', `+arguments+`)`)
	}
	d.holds(`SELECT total_messages = 0 FROM pgmq.metrics('jobs')`)
}
