package main

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
)

// consultOn asks the doctor about a Postgres database.
func consultOn(t *testing.T, url string, args ...string) (code int, findings map[string]finding, stderr string) {
	t.Helper()
	flags := []string{"--database-url", url}
	if config, err := pgx.ParseConfig(url); err == nil && config.Database != "" {
		flags = append(flags, "--cluster", config.Database) // that of startNode
	}
	return consult(t, append(flags, args...)...)
}

func TestDoctorFindsNothingWrongWithADatabase(t *testing.T) {
	t.Parallel()
	code, findings, stderr := consultOn(t, testpostgres.URL(t))
	if code != exitDone || stderr != "" {
		t.Errorf("got exit code %d, stderr %q", code, stderr)
	}
	for check, want := range map[string]string{
		"database": "user singularity", "schema": "the newest", "session": "no pooler", "connections": "of 197 are in use", "retention": "nothing",
		"checkpoints": "one table",
		"clock":       "from it", "gossip": "127.0.0.1:7946 is", "actors": "127.0.0.1:7947 is", "members": "no node lives",
		"hub": "none in the nodes' database", "address": "free", "provider": "simulated",
	} {
		if found := findings[check]; !found.OK || !strings.Contains(found.Detail, want) {
			t.Errorf("%s: got %+v, want it good, with %q", check, found, want)
		}
	}
	if len(findings) != 13 {
		t.Errorf("got %d findings, want 13: the folder of dev is no matter here", len(findings))
	}
}

func TestDoctorAcceptsAPoolerBesideADirectURL(t *testing.T) {
	t.Parallel()
	direct := testpostgres.URL(t)
	code, findings, stderr := consultOn(t, testpostgres.Pooler(t, direct), "--session-database-url", direct)
	if code != exitDone || !strings.Contains(findings["session"].Detail, "--session-database-url to the database") {
		t.Errorf("got exit code %d, %+v, stderr %q", code, findings["session"], stderr)
	}
}

const freeze = `
DO $$ BEGIN
	EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
END $$`

const waitingRetention = `
INSERT INTO singularity.workflow_runs
	(id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, created_at, updated_at)
VALUES (gen_random_uuid(), 'singularity.retention', 1, '', 'available', 'metrics', 0, now() - interval '3 hours', now(), 'prune', now(), now())`

// What came before the first day would have been until a time that is past.
const lateDays = `
DO $$
DECLARE
	child regclass;
BEGIN
	FOR child IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'singularity.step_checkpoints'::regclass AND inhrelid <> 'singularity.step_checkpoints_spare'::regclass LOOP
		EXECUTE format('DROP TABLE %s', child);
	END LOOP;
END $$`

func TestDoctorNamesEachFaultOfADatabase(t *testing.T) {
	t.Parallel()
	good, newer, older := testpostgres.URL(t), testpostgres.URL(t), testpostgres.URL(t)
	raisePostgres(t, newer)
	migrate(t, older, "down")
	pooler := testpostgres.Pooler(t, good)
	crowded := testpostgres.Start(t, testpostgres.Config{Settings: map[string]string{"max_connections": "10"}})
	frozen := testpostgres.URL(t)
	execute(t, frozen, freeze)
	paused := testpostgres.URL(t)
	execute(t, paused, waitingRetention)
	late := testpostgres.URL(t)
	partition(t, late)
	execute(t, late, lateDays)
	standby := testpostgres.Start(t, testpostgres.Config{}).Standby(t)
	tests := []struct {
		name, url   string
		args        []string
		check, want string
	}{
		{"nobody listens", nobodyListens, nil, "database", "127.0.0.1"},
		{"malformed", "postgres://host:port/runs", nil, "database", "--database-url"},
		{"no schema", testpostgres.Empty(t), nil, "schema", "migrate up"},
		{"old schema", older, nil, "schema", "migrate up"},
		{"newer schema", newer, nil, "schema", "newer program"},
		{"pooler", pooler, nil, "session", "--session-database-url"},
		{"pooler by both URLs", pooler, []string{"--session-database-url", pooler}, "session", "--session-database-url"},
		{"session URL leads nowhere", good, []string{"--session-database-url", nobodyListens}, "session", "--session-database-url"},
		{"no connections left", crowded.URL(testpostgres.Database), nil, "connections", "max_connections"},
		{"transactions are read-only", frozen, nil, "database", "read-only"},
		{"what has expired stays", paused, nil, "retention", "has waited in queue metrics for 3h"},
		{"days have no partitions", late, nil, "checkpoints", "migrate partition"},
		{"replica", standby.URL(testpostgres.Database), nil, "database", "primary"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, findings, stderr := consultOn(t, test.url, test.args...)
			if code != exitRefused || !strings.Contains(stderr, test.check+": ") || strings.Contains(stderr, "canary") {
				t.Errorf("got exit code %d, stderr %q; want 1 and %q named", code, stderr, test.check)
			}
			if found := findings[test.check]; found.OK || !strings.Contains(found.Detail, test.want) {
				t.Errorf("got %+v, want a fault with %q", found, test.want)
			}
		})
	}
}

func TestDoctorChangesNothingInADatabase(t *testing.T) {
	t.Parallel()
	database := testpostgres.Empty(t)
	consultOn(t, database)
	if status := migrate(t, database, "status"); applied(status) != nil {
		t.Errorf("the doctor has applied %v", applied(status))
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	for ahead, good := range map[time.Duration]bool{0: true, time.Second: true, -time.Second: true, 3 * time.Second: false, -time.Hour: false} {
		detail, err := compareClocks(now, now.Add(ahead))
		if (err == nil) != good {
			t.Errorf("%s ahead: got %q, %v", ahead, detail, err)
		}
		if err != nil && (!strings.Contains(err.Error(), ahead.Abs().String()) || !strings.Contains(err.Error(), "set the clocks")) {
			t.Errorf("%s ahead: %v does not say by how much, or what to do", ahead, err)
		}
	}
}
