package pgmq_test

import "testing"

// ids reads what a call returns, in the order of the ids.
func ids(call string) string { return `SELECT msg_id FROM pgmq.` + call + ` ORDER BY msg_id` }

func TestReadLeasesTheFirst(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3,4}', '{"{\"h\": 1}",NULL,NULL,NULL}'::jsonb[])`)
	d.holds(`
		SELECT msg_id = 1 AND read_ct = 1 AND enqueued_at < now() AND last_read_at BETWEEN now() AND clock_timestamp()
			AND vt BETWEEN now() + interval '60 seconds' AND clock_timestamp() + interval '60 seconds' AND message = '1' AND headers = '{"h": 1}'
		FROM pgmq.read('jobs', 60, 1)`)
	d.returns([]int64{2, 3}, ids(`read(queue_name => 'jobs', vt => 60, qty => 2, conditional => '{}')`))
	d.returns([]int64{4}, ids(`read('jobs', 60, 10)`))
	d.returns(nil, ids(`read('jobs', 60, 10)`))
	d.exec(`SELECT pgmq.set_vt('jobs', '{2,4}'::bigint[], 0)`)
	d.returns([]int64{2, 4}, ids(`read('jobs', 60, 10)`))
	d.returns([]int64{1, 2, 1, 2}, `SELECT read_ct::bigint FROM pgmq.q_jobs ORDER BY msg_id`)
}

func TestReadTakesOddArguments(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3}')`)
	d.returns(nil, ids(`read('jobs', 60, 0)`))
	d.fails(negativeLimit, "", `SELECT pgmq.read('jobs', 60, -1)`)
	for range 2 {
		d.returns([]int64{1, 2, 3}, ids(`read('jobs', 0, NULL)`))
		d.returns([]int64{1}, ids(`read('jobs', -60, 1)`))
	}
	d.fails(notNull, "", `SELECT pgmq.read('jobs', NULL, 1)`)
	d.returns([]int64{1, 2, 3}, ids(`read('jobs', 60, 10)`))
	d.returns(nil, ids(`read('jobs', NULL, 1)`))
}

func TestReadByConditionLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{"{\"type\": \"a\"}","{\"type\": \"b\", \"n\": 1}","{\"type\": \"a\"}","[1]"}')`)
	d.returns([]int64{2}, ids(`read('jobs', 60, 10, '{"type": "b"}')`))
	d.returns(nil, ids(`read('jobs', 60, 10, '{"type": "b"}')`))
	d.returns([]int64{4}, ids(`read('jobs', 60, 10, '[1]')`))
	d.returns([]int64{0, 1, 0, 1}, `SELECT read_ct::bigint FROM pgmq.q_jobs ORDER BY msg_id`)
	d.returns([]int64{1, 3}, ids(`read_with_poll('jobs', 60, 10, 1, 10, '{"type": "a"}')`))
}

func TestReadersPassByWhatOthersHaveLocked(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3,4}')`)
	first, second := d.another(), d.another()
	first.exec(`BEGIN`)
	second.exec(`BEGIN`)
	first.returns([]int64{1, 2}, ids(`read('jobs', 60, 2)`))
	second.returns([]int64{3}, ids(`pop('jobs')`))
	d.returns([]int64{4}, ids(`read('jobs', 60, 10)`))
	first.exec(`ROLLBACK`)
	second.exec(`COMMIT`)
	d.holds(`SELECT array_agg(msg_id) = '{1,2}' AND bool_and(read_ct = 1) FROM pgmq.read('jobs', 60, 10)`)
}

func TestPoisonAtTheHeadDoesNotBlock(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3}')`)
	for _, next := range []int64{2, 3} {
		d.returns([]int64{1}, ids(`read('jobs', 60, 1)`))
		d.returns([]int64{next}, ids(`pop('jobs')`))
		d.exec(`SELECT pgmq.set_vt('jobs', 1, -1)`)
	}
	d.holds(`SELECT msg_id = 1 AND read_ct = 3 FROM pgmq.read('jobs', 60, 1)`)
}

func TestPollReadsUntilThereIsSomething(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1}')`)
	d.returns(nil, ids(`read_with_poll('jobs', 60, 10, 0)`))
	d.returns([]int64{1}, ids(`read_with_poll('jobs', 60, 10)`))
	d.returns(nil, ids(`read_with_poll('jobs', 60, 10, max_poll_seconds => 1, poll_interval_ms => 100)`))
	polling := d.another()
	pid := one[int64](polling, `SELECT pg_backend_pid()::bigint`)
	done := make(chan []int64, 1)
	go func() {
		defer close(done) // however it ends
		done <- all[int64](polling, ids(`read_with_poll('jobs', 60, 10, 60, 10)`))
	}()
	for !one[bool](d, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep')`, pid) {
		select {
		case early := <-done:
			t.Fatalf("polled %v before anything was sent", early)
		default:
		}
	}
	d.exec(`SELECT pgmq.send('jobs', '2')`)
	if got := <-done; len(got) != 1 || got[0] != 2 {
		t.Errorf("polled %v, want the message that came meanwhile", got)
	}
}

func TestPopDeletesWhatIsVisible(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3,4}')`)
	d.exec(`SELECT pgmq.read('jobs', 60, 1)`)
	d.holds(`SELECT msg_id = 2 AND read_ct = 0 AND last_read_at IS NULL AND message = '2' FROM pgmq.pop('jobs')`)
	d.returns([]int64{3, 4}, ids(`pop(queue_name => 'jobs', qty => 5)`))
	d.returns(nil, ids(`pop('jobs')`))
	d.returns([]int64{1}, `SELECT msg_id FROM pgmq.q_jobs`)
	d.holds(`SELECT count(*) = 0 FROM pgmq.a_jobs`)
}

func TestSetVTMovesTheEndOfALease(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2}')`)
	d.exec(`SELECT pgmq.read('jobs', 60, 1)`)
	d.holds(`
		SELECT msg_id = 1 AND read_ct = 1 AND last_read_at IS NOT NULL AND vt BETWEEN now() + interval '90 seconds' AND clock_timestamp() + interval '90 seconds' AND message = '1'
		FROM pgmq.set_vt(queue_name => 'jobs', msg_id => 1, vt => 90)`)
	d.holds(`SELECT vt = '2100-01-01' AND read_ct = 0 FROM pgmq.set_vt('jobs', 2, '2100-01-01'::timestamptz)`)
	d.returns(nil, ids(`read('jobs', 60, 10)`))
	d.returns([]int64{1, 2}, ids(`set_vt(queue_name => 'jobs', msg_ids => '{2,7,1}'::bigint[], vt => '2101-01-01'::timestamptz)`))
	d.returns(nil, ids(`set_vt('jobs', 7, 1)`))
	d.returns(nil, ids(`set_vt('jobs', 7, now())`))
	d.returns([]int64{1, 2}, ids(`set_vt('jobs', '{1,2}'::bigint[], -1)`))
	d.returns([]int64{1, 2}, ids(`read('jobs', 60, 10)`))
}

func TestDeleteTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3}')`)
	d.exec(`SELECT pgmq.read('jobs', 60, 1)`)
	d.holds(`SELECT pgmq.delete(queue_name => 'jobs', msg_id => 1)`)
	d.holds(`SELECT NOT pgmq.delete('jobs', 1)`)
	d.returns([]int64{2, 3}, `SELECT id FROM pgmq.delete(queue_name => 'jobs', msg_ids => '{3,2,7,3}'::bigint[]) AS id ORDER BY id`)
	d.returns(nil, `SELECT pgmq.delete('jobs', '{}'::bigint[])`)
	d.holds(`SELECT count(*) = 0 FROM pgmq.a_jobs`)
}

func TestArchiveKeepsTheMessageAsItWas(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send_batch('jobs', '{1,2,3}', '{"{\"h\": 1}",NULL,NULL}'::jsonb[])`)
	d.exec(`SELECT pgmq.read('jobs', 60, 2)`)
	d.exec(`CREATE TEMPORARY TABLE before AS SELECT msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers FROM pgmq.q_jobs`)
	d.holds(`SELECT pgmq.archive(queue_name => 'jobs', msg_id => 1)`)
	d.holds(`SELECT NOT pgmq.archive('jobs', 1)`)
	d.returns([]int64{2, 3}, `SELECT id FROM pgmq.archive(queue_name => 'jobs', msg_ids => '{3,2,7,3}'::bigint[]) AS id ORDER BY id`)
	d.holds(`
		SELECT count(*) = 3
		FROM (SELECT msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers FROM pgmq.a_jobs INTERSECT SELECT * FROM before) AS same`)
	d.holds(`SELECT bool_and(archived_at > enqueued_at) FROM pgmq.a_jobs`)
	d.holds(`SELECT count(*) = 0 FROM pgmq.q_jobs`)
}

func TestAReaderOfLaterDeletesWhatAnotherHas(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.send('jobs', '1')`)
	d.returns([]int64{1}, ids(`read('jobs', 0, 1)`))
	d.another().returns([]int64{1}, ids(`read('jobs', 60, 1)`))
	d.holds(`SELECT pgmq.delete('jobs', 1)`)
}
