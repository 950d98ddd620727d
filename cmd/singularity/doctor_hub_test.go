package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/sqlite"
	"singularity/internal/testpostgres"
)

// hubAt is a hub's database, brought up to date.
func hubAt(t *testing.T, url string) *pgmq.Store {
	t.Helper()
	if _, err := pgmq.MigrateUp(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	store, err := pgmq.Open(t.Context(), pgmq.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// reported has instances known to a hub, each with a queue of its own.
func reported(t *testing.T, store hub.Store, lead hub.Lead, instances ...string) {
	t.Helper()
	for _, queue := range []string{centralcloud.UpQueue, centralcloud.DeadUp, centralcloud.DeadDown} {
		must(t, store.CreateQueue(t.Context(), queue))
	}
	for _, id := range instances {
		must(t, store.CreateQueue(t.Context(), centralcloud.DownQueue(id)))
		message, err := store.Send(t.Context(), centralcloud.UpQueue, centralcloud.Draft{Body: []byte(`1`)})
		must(t, err)
		from := hub.Instance{ID: id, Boot: id, Queue: centralcloud.DownQueue(id), HeardAt: time.Now()}
		_, err = store.Count(t.Context(), lead, message, hub.Report{From: from})
		must(t, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func leadFor(ctx context.Context, t *testing.T, store hub.Store, term time.Duration) hub.Lead {
	t.Helper()
	lead, err := store.Lead(ctx, "test", term)
	must(t, err)
	return lead
}

const lateLesson = `UPDATE pgmq.q_instance_learning_a SET enqueued_at = now() - interval '3 minutes'`

func TestDoctorSaysHowTheHubStands(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	store := hubAt(t, database)
	reported(t, store, leadFor(t.Context(), t, store, time.Hour), "a", "gone")
	_, err := store.Send(t.Context(), centralcloud.DownQueue("a"), centralcloud.Draft{Body: []byte(`1`)})
	must(t, err)
	execute(t, database, lateLesson) // of nobody who lives
	code, findings, stderr := consultOn(t, database)
	if code != exitDone {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	for check, want := range map[string][]string{
		"hub":           {"the newest", "pgmq: functions of our own, as in pgmq 1.11"},
		"hub leader":    {"lead 1, last tick ", "no policy yet"},
		"hub instances": {"a: results ", "taught never, 1 lessons unread, the oldest for 3m", "gone: results "},
		"dead letters":  {"none"},
	} {
		for _, part := range want {
			if found := findings[check]; !found.OK || !strings.Contains(found.Detail, part) {
				t.Errorf("%s: %+v, want it good, with %q", check, found, part)
			}
		}
	}
}

const makeOlder = `
DELETE FROM centralcloud.schema_migrations
WHERE version_id = (SELECT max(version_id) FROM centralcloud.schema_migrations)`

// living is a node that lives, as far as the database knows.
const living = `
INSERT INTO singularity.node_leases (instance_id, boot, hostname, pid, version, lock_key, created_at, lease_until)
VALUES ('a', 'boot', 'elsewhere', 1, '', 1, now(), now() + interval '1 hour')`

func TestDoctorNamesEachFaultOfAHub(t *testing.T) {
	t.Parallel()
	nodes := testpostgres.URL(t)
	newer, older, unled, lapsed, letters := testpostgres.URL(t), testpostgres.URL(t), testpostgres.URL(t), testpostgres.URL(t), testpostgres.URL(t)
	hubAt(t, newer)
	execute(t, newer, `INSERT INTO centralcloud.schema_migrations (version_id, is_applied) VALUES (999, true)`)
	hubAt(t, older)
	execute(t, older, makeOlder)
	hubAt(t, unled)
	leadFor(t.Context(), t, hubAt(t, lapsed), -time.Second)
	dead := hubAt(t, letters)
	reported(t, dead, leadFor(t.Context(), t, dead, time.Hour))
	_, err := dead.Send(t.Context(), centralcloud.DeadUp, centralcloud.Draft{Body: []byte(`1`)})
	must(t, err)
	for _, test := range []struct {
		name, url   string
		args        []string
		check, want string
	}{
		{"nobody listens", nodes, []string{"--centralcloud-database-url", nobodyListens}, "hub", "--centralcloud-database-url: "},
		{"there is none", nodes, []string{"--centralcloud-database-url", testpostgres.Empty(t)}, "hub", "singularity centralcloud --migrate"},
		{"there is to be one", nodes, []string{"--centralcloud"}, "hub", "singularity centralcloud --migrate"},
		{"newer schema", newer, nil, "hub", "newer program"},
		{"older schema", older, nil, "hub", "start it with --migrate"},
		{"no leader", unled, nil, "hub leader", "none leads, last tick never"},
		{"no leader any more", lapsed, nil, "hub leader", "start one with `singularity centralcloud`"},
		{"dead letters", letters, nil, "dead letters", "1 in dead_up, the last one "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, findings, stderr := consultOn(t, test.url, test.args...)
			if code != exitRefused || !strings.Contains(stderr, test.check+": ") {
				t.Errorf("exit code %d, stderr %q; want 1 and %q named", code, stderr, test.check)
			}
			if found := findings[test.check]; found.OK || !strings.Contains(found.Detail, test.want) {
				t.Errorf("%+v, want a fault with %q", found, test.want)
			}
		})
	}
}

func TestDoctorNamesNodesThatLiveAndDoNotReadWhatTheyAreTaught(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	store := hubAt(t, database)
	reported(t, store, leadFor(t.Context(), t, store, time.Hour), "a")
	_, err := store.Send(t.Context(), centralcloud.DownQueue("a"), centralcloud.Draft{Body: []byte(`1`)})
	must(t, err)
	execute(t, database, lateLesson)
	execute(t, database, living)
	code, findings, _ := consultOn(t, database)
	if found := findings["hub instances"]; code != exitRefused || found.OK || !strings.Contains(found.Detail, "a node that lives does not read") {
		t.Errorf("exit code %d, %+v", code, found)
	}
}

func TestNodeThatIsToBeTheHubNeedsNoLeaderBefore(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	hubAt(t, database)
	code, findings, stderr := consultOn(t, database, "--centralcloud")
	if found := findings["hub leader"]; code != exitDone || !found.OK || !strings.Contains(found.Detail, "none leads, last tick never") {
		t.Errorf("exit code %d, %+v, %s", code, found, stderr)
	}
}

func TestDoctorLooksAtTheHubOfDev(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	must(t, err)
	reported(t, store, leadFor(t.Context(), t, store, time.Hour), "a")
	_, err = store.Send(t.Context(), centralcloud.DeadDown, centralcloud.Draft{Body: []byte(`1`)})
	must(t, err)
	must(t, store.Close())
	code, findings, _ := consult(t, "--data-dir", dir)
	if code != exitRefused || !findings["hub leader"].OK || !strings.Contains(findings["hub instances"].Detail, "a: results") || findings["dead letters"].OK {
		t.Errorf("exit code %d, %+v", code, findings)
	}
}
