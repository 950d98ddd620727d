package soak

import (
	"crypto/rand"
	"strings"
	"testing"

	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// The history of two runs: the first changed hands in its second step, and the
// first attempt of the second one failed.
const cleanHistory = `
INSERT INTO singularity.node_leases (boot, instance_id, hostname, pid, version, lease_until, lock_key, created_at, ended_at, ended_by) VALUES
	('dead', 'a', 'host', 1, '', now(), 1, now(), now(), 'crashed'),
	('alive', 'b', 'host', 2, '', now(), 2, now(), NULL, NULL);

INSERT INTO singularity.workflow_runs (id, workflow, version, input_hash, state, queue, priority, due_at, step, epoch, owner, created_at, updated_at) VALUES
	('00000000-0000-7000-8000-000000000001', 'load', 1, '', 'running', 'default', 0, now(), 'first', 1, 'dead', now(), now()),
	('00000000-0000-7000-8000-000000000002', 'load', 1, '', 'running', 'default', 0, now(), 'first', 1, 'alive', now(), now());

INSERT INTO singularity.step_checkpoints (run_id, seq, step, turn, attempt, outcome, epoch, owner) VALUES
	('00000000-0000-7000-8000-000000000001', 1, 'first', 0, 1, 'completed', 1, 'dead');
UPDATE singularity.workflow_runs SET seq = 1, step = 'second' WHERE id::text LIKE '%1';
UPDATE singularity.workflow_runs SET state = 'available', owner = NULL, epoch = 2, crash_count = 1 WHERE id::text LIKE '%1';
UPDATE singularity.workflow_runs SET state = 'running', owner = 'alive', epoch = 3 WHERE id::text LIKE '%1';
INSERT INTO singularity.step_checkpoints (run_id, seq, step, turn, attempt, outcome, epoch, owner) VALUES
	('00000000-0000-7000-8000-000000000001', 2, 'second', 0, 1, 'completed', 3, 'alive');
UPDATE singularity.workflow_runs SET seq = 2, step = 'third' WHERE id::text LIKE '%1';
INSERT INTO singularity.step_checkpoints (run_id, seq, step, turn, attempt, outcome, epoch, owner) VALUES
	('00000000-0000-7000-8000-000000000001', 3, 'third', 0, 1, 'completed', 3, 'alive');
UPDATE singularity.workflow_runs SET seq = 3, step = '', state = 'completed', finished_at = now() WHERE id::text LIKE '%1';

INSERT INTO singularity.step_checkpoints (run_id, seq, step, turn, attempt, outcome, epoch, owner) VALUES
	('00000000-0000-7000-8000-000000000002', 1, 'first', 0, 1, 'failed', 1, 'alive');
UPDATE singularity.workflow_runs SET seq = 1, attempt = 1 WHERE id::text LIKE '%2';`

var (
	firstRun  = mustRun("00000000-0000-7000-8000-000000000001")
	secondRun = mustRun("00000000-0000-7000-8000-000000000002")
)

func mustRun(text string) workflow.RunID {
	id, err := workflow.ParseRunID(text)
	if err != nil {
		panic(err)
	}
	return id
}

// cleanEvidence goes with cleanHistory.
func cleanEvidence() evidence {
	e := evidence{starts: map[workflow.RunID]outcome{firstRun: acknowledged, secondRun: unknown}}
	for _, done := range []struct {
		run  workflow.RunID
		step string
	}{
		{firstRun, "first"}, {firstRun, "second"}, {firstRun, "second"}, {firstRun, "third"},
		{secondRun, "first"}, {secondRun, "first"},
	} {
		run := done.run.String()
		e.effects = append(e.effects, Effect{Key: run + "/" + done.step, Run: run, Step: done.step})
	}
	return e
}

// Each invariant is broken on purpose, and has to notice: a checker that finds
// nothing proves nothing by itself.
func TestEachBreachIsFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sql      string
		evidence func(*evidence)
	}{
		"an acknowledged run is there and ends": {
			evidence: func(e *evidence) { e.starts[workflow.NewRunID()] = acknowledged },
		},
		"a start that was refused left no run": {
			evidence: func(e *evidence) { e.starts[secondRun] = refused },
		},
		"a run of good steps completes": {
			sql: `UPDATE singularity.workflow_runs SET state = 'failed' WHERE id::text LIKE '%2'`,
		},
		"a completed run has a checkpoint of every step": {
			sql: `DELETE FROM singularity.step_checkpoints WHERE step = 'second'`,
		},
		"a step has one checkpoint": {
			sql: `INSERT INTO singularity.step_checkpoints (run_id, seq, step, turn, attempt, outcome, epoch, owner)
				VALUES ('` + firstRun.String() + `', 4, 'second', 0, 1, 'completed', 3, 'alive')`,
		},
		"a sequence number is used once": {
			sql: `ALTER TABLE singularity.step_checkpoints DROP CONSTRAINT step_checkpoints_pkey;
				INSERT INTO singularity.step_checkpoints SELECT * FROM singularity.step_checkpoints WHERE seq = 3`,
		},
		"a checkpoint never changes": {
			sql: `UPDATE singularity.step_checkpoints SET state = '{}' WHERE seq = 2`,
		},
		"a checkpoint follows an effect": {
			evidence: func(e *evidence) { e.effects = e.effects[1:] },
		},
		"epochs never go down": {
			sql: `UPDATE singularity.workflow_runs SET epoch = 0 WHERE id::text LIKE '%2'`,
		},
		"an epoch has one owner": {
			sql: `UPDATE singularity.workflow_runs SET owner = 'dead' WHERE id::text LIKE '%2'`,
		},
		"no checkpoint is of an epoch before an earlier one's": {
			sql: `UPDATE singularity.step_checkpoints SET epoch = 2 WHERE seq = 3`,
		},
		noStaleWrite: {
			sql: `UPDATE singularity.step_checkpoints SET owner = 'dead' WHERE seq = 3`,
		},
		"a terminal state never changes": {
			sql: `UPDATE singularity.workflow_runs SET state = 'running' WHERE id::text LIKE '%1'`,
		},
		"a running run has a living owner": {
			sql: `UPDATE singularity.node_leases SET ended_at = now() WHERE boot = 'alive'`,
		},
		"a step runs again only for a failed attempt or a lost owner": {
			evidence: func(e *evidence) { e.effects = append(e.effects, e.effects[0]) },
		},
		"a step has one idempotency key": {
			evidence: func(e *evidence) { e.effects[1].Key += "/again" },
		},
		"an idempotency key is of one step": {
			evidence: func(e *evidence) { e.effects[0].Key = e.effects[1].Key },
		},
	}
	for _, i := range invariants {
		if _, planted := tests[i.name]; !planted {
			t.Errorf("nothing breaks the invariant that %s", i.name)
		}
	}
	history := newHistory(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := history.judge(t, test.sql, test.evidence); !found[name] {
				t.Errorf("it was broken and nobody noticed; found %v", found)
			}
		})
	}
}

func TestCleanHistoryHasNoBreach(t *testing.T) {
	t.Parallel()
	if found := newHistory(t).judge(t, "", nil); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// history is a server that has the clean history, to be copied.
type history struct{ server *testpostgres.Server }

func newHistory(t *testing.T) history {
	t.Helper()
	server := testpostgres.Start(t, usualServer())
	url := server.URL(testpostgres.Database)
	if _, err := postgres.MigrateUp(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	a := newAudit(t, url)
	if _, err := a.pool.Exec(t.Context(), cleanHistory); err != nil {
		t.Fatal(err)
	}
	a.pool.Close() // nobody may be in a database that is copied
	return history{server}
}

// judge returns the invariants that are broken after a change of the history,
// and of the evidence that goes with it.
func (h history) judge(t *testing.T, sql string, change func(*evidence)) map[string]bool {
	t.Helper()
	name := "copy_" + strings.ToLower(rand.Text())
	home := openAudit(t, h.server.URL("template1"))
	if _, err := home.pool.Exec(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+testpostgres.Database); err != nil {
		t.Fatal(err)
	}
	a := openAudit(t, h.server.URL(name))
	if _, err := a.pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	e := cleanEvidence()
	if change != nil {
		change(&e)
	}
	if err := a.take(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	breaches, err := a.breaches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, b := range breaches {
		found[b.Invariant] = true
	}
	return found
}
