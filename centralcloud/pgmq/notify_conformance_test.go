package pgmq_test

import "testing"

// heard returns the notifications of a session up to one on a channel of its
// own, which it sends.
func heard(d *database) []string {
	d.Helper()
	d.exec(`LISTEN heard`)
	d.exec(`NOTIFY heard`)
	var channels []string
	for {
		notification, err := d.WaitForNotification(d.Context())
		if err != nil {
			d.Fatal(err)
		}
		if notification.Channel == "heard" {
			return channels
		}
		if notification.Payload != "" {
			d.Errorf("payload %q, want none", notification.Payload)
		}
		channels = append(channels, notification.Channel)
	}
}

func TestInsertsNotifyOnceATransactionAtCommit(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("Jobs")
	d.exec(`SELECT pgmq.enable_notify_insert(queue_name => 'Jobs', throttle_interval_ms => 0)`)
	listener := d.another()
	listener.exec(`LISTEN "pgmq.q_jobs.INSERT"`)
	d.exec(`BEGIN`)
	d.exec(`SELECT pgmq.send_batch('Jobs', '{1,2,3}')`)
	d.exec(`SELECT pgmq.send('jobs', '4')`)
	if got := heard(listener); len(got) != 0 {
		t.Errorf("heard %q before the commit", got)
	}
	d.exec(`COMMIT`)
	if got := heard(listener); len(got) != 1 {
		t.Errorf("heard %q, want one notification", got)
	}
	d.rolledBack(func() { d.exec(`SELECT pgmq.send('Jobs', '5')`) })
	d.exec(`SELECT pgmq.read('Jobs', 1, 1)`)
	if got := heard(listener); len(got) != 0 {
		t.Errorf("heard %q of what was rolled back, or read", got)
	}
	d.exec(`SELECT pgmq.disable_notify_insert('Jobs')`)
	d.exec(`SELECT pgmq.send('Jobs', '6')`)
	if got := heard(listener); len(got) != 0 {
		t.Errorf("heard %q after it was disabled", got)
	}
}

func TestNotificationsAreThrottled(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.enable_notify_insert('jobs')`)
	d.holds(`SELECT queue_name = 'jobs' AND throttle_interval_ms = 250 AND last_notified_at < now() FROM pgmq.list_notify_insert_throttles()`)
	d.exec(`SELECT pgmq.enable_notify_insert('jobs', 3600000)`)
	listener := d.another()
	listener.exec(`LISTEN "pgmq.q_jobs.INSERT"`)
	for range 3 {
		d.exec(`SELECT pgmq.send('jobs', '1')`)
	}
	if got := heard(listener); len(got) != 1 {
		t.Errorf("heard %q, want one notification an hour", got)
	}
	d.exec(`SELECT pgmq.update_notify_insert('jobs', 0)`)
	d.holds(`SELECT throttle_interval_ms = 0 FROM pgmq.list_notify_insert_throttles()`)
	for range 3 {
		d.exec(`SELECT pgmq.send('jobs', '1')`)
	}
	if got := heard(listener); len(got) != 3 {
		t.Errorf("heard %q, want a notification for each", got)
	}
}

func TestNotifyingSendersQueueUp(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.exec(`SELECT pgmq.enable_notify_insert('jobs', 0)`)
	first := d.another()
	first.exec(`BEGIN`)
	first.exec(`SELECT pgmq.send('jobs', '1')`)
	d.exec(`SET lock_timeout = '10ms'`)
	d.fails("55P03", "", `SELECT pgmq.send('jobs', '2')`)
	first.exec(`COMMIT`)
	d.exec(`SELECT pgmq.send('jobs', '2')`)
}

func TestNotifyRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.fails(raised, "", `SELECT pgmq.enable_notify_insert('jobs', -1)`)
	d.fails(raised, "", `SELECT pgmq.enable_notify_insert('missing')`)
	d.fails(raised, "", `SELECT pgmq.update_notify_insert('jobs', 1)`)
	d.exec(`SELECT pgmq.enable_notify_insert('jobs')`)
	d.fails(raised, "", `SELECT pgmq.update_notify_insert('jobs', -1)`)
	d.exec(`SELECT pgmq.disable_notify_insert('jobs')`)
	d.holds(`SELECT count(*) = 0 FROM pgmq.list_notify_insert_throttles()`)
	d.holds(`SELECT count(*) = 0 FROM pg_trigger WHERE tgrelid = 'pgmq.q_jobs'::regclass`)
}
