package sqlite

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// plan returns what SQLite means to do for a query, one step a line.
func plan(t *testing.T, store *Store, query string) []string {
	t.Helper()
	args := make([]any, parameters(query))
	rows, err := store.readers.db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var steps []string
	err = each(rows, func(row scanner) error {
		var id, parent, unused int
		var step string
		err := row.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// parameters counts the arguments that a query takes.
func parameters(query string) int {
	count := 0
	for _, parameter := range regexp.MustCompile(`\?\d*`).FindAllString(query, -1) {
		if number, err := strconv.Atoi(parameter[1:]); err == nil {
			count = max(count, number)
		} else {
			count++
		}
	}
	return count
}

// What the plans of hot queries may read from end to end: lists of their own
// making, JSON arguments and the boots, takeovers to the first one, and the index
// of the system's own runs. One that holds only the runs that run now, or wait
// for a claim, may be too, where it says so.
var mayScan = regexp.MustCompile(`^SCAN (json_each|wanted|tag|CONSTANT|\d+ CONSTANT|node_leases|queues|lanes|priorities|heads|history|kind|first|\(subquery` +
	`|takeovers USING COVERING INDEX takeovers_declared|workflow_runs USING INDEX workflow_runs_retention)`)

func TestQueriesUseTheirIndexes(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })

	const claimable = "SEARCH workflow_runs USING COVERING INDEX workflow_runs_claimable (queue=? AND <expr>=? AND priority=? AND sort_key>?"
	const keyed = "SEARCH workflow_runs USING COVERING INDEX workflow_runs_keyed (queue=? AND <expr>=? AND limit_key"
	const primary = "SEARCH workflow_runs USING PRIMARY KEY (id=?)"
	queries := []struct {
		name, query string
		uses        string // a step, or its beginning
		times       int
		mayScan     string // besides
		maySort     bool
	}{
		{"insert", insertRun, "SEARCH step_checkpoints", 2, "", false},
		{"insert input", insertInput, primary, 1, "", false},
		{"claim", claimRuns, claimable, 10, "", false},
		{"claimed", claimedRuns, "SEARCH run USING INDEX workflow_runs_owned (owner=? AND claim_id=?)", 1, "", true},
		{"backlog", backlogs, claimable, 2, "SCAN workflow_runs USING COVERING INDEX workflow_runs_claimable", true},
		{"first key", firstKey, keyed, 1, "", false},
		{"key after", keyAfter, keyed, 1, "", false},
		{"claim with key", takeWithKey, keyed, 10, "", false},
		{"any due with key", anyDueWithKey, keyed, 10, "", false},
		{"any due", anyDue, claimable, 10, "", false},
		{"page of keys", waitingPage, "SEARCH run USING INDEX workflow_runs_claimable (queue=? AND <expr>=? AND (priority,sort_key,id)>(?,?,?))", 1, "", false},
		{"running", queueTurn, "SEARCH queue USING PRIMARY KEY (name=?)", 1, "SCAN workflow_runs USING INDEX workflow_runs_owned", false},
		{"running by key", runningByKey, "", 0, "SCAN workflow_runs USING INDEX workflow_runs_owned", true},
		{"bucket", readBucket, "SEARCH queue_buckets USING PRIMARY KEY (queue=? AND keyed=? AND key=?)", 1, "", false},
		{"checkpoint", insertCheckpoint, primary, 1, "", false},
		{"advance", advanceRunning, primary, 1, "", false},
		{"advance after a crash", advanceAfterCrash, primary, 1, "", false},
		{"end", endRun, primary, 1, "", false},
		{"release", releaseRun, primary, 1, "", false},
		{"landed entry", landedEntry, "SEARCH earlier USING INTEGER PRIMARY KEY (rowid=?)", 1, "", false},
		{"cancel", cancelRun, primary, 1, "", false},
		{"key", existingByKey, "SEARCH run USING INDEX workflow_runs_key (workflow=? AND key=?)", 1, "", false},
		{"key holder", keyHolder, "SEARCH workflow_runs USING INDEX workflow_runs_key (workflow=? AND key=?)", 1, "", false},
		{"run", wholeRun, "SEARCH run USING PRIMARY KEY (id=?)", 1, "", false},
		{"runs", listRuns, "SEARCH run USING PRIMARY KEY (id>? AND id<?)", 1, "", false},
		{"look ahead", lookAhead, "SEARCH workflow_runs USING PRIMARY KEY (id<?)", 1, "", false},
		{"runs of a batch", listRunsOfBatch, "SEARCH run USING INDEX workflow_runs_batch (batch_id=?)", 1, "", true},
		{"look ahead in a batch", lookAheadInBatch, "SEARCH workflow_runs USING COVERING INDEX workflow_runs_batch (batch_id=?)", 1, "", true},
		{"next deadlines", nextDeadlines, "SEARCH run USING INDEX workflow_runs_deadline (deadline>?", 2, "", false},
		{"overdue", overdueRuns, "SEARCH run USING INDEX workflow_runs_deadline (deadline>? AND deadline<?)", 1, "", false},
		{"unique holder", existingByUnique, "SEARCH run USING INDEX workflow_runs_unique (unique_key=?)", 1, "", false},
		{"lapse", lapseUnique, "SEARCH workflow_runs USING INDEX workflow_runs_unique (unique_key=?)", 1, "", false},
		{"replace", replaceRun, "SEARCH workflow_runs USING INDEX workflow_runs_unique (unique_key=?)", 1, "", false},
		{"lapse a rival", lapseRival, "SEARCH workflow_runs USING INDEX workflow_runs_unique (unique_key=?)", 1, "", false},
		{"rival", uniqueRival, "SEARCH workflow_runs USING INDEX workflow_runs_unique (unique_key=?)", 1, "", false},
		{"steps", listSteps, "SEARCH earlier USING INTEGER PRIMARY KEY (rowid=?)", 1, "", false},
		{"records", listRecords, "SEARCH step_records USING INDEX sqlite_autoindex_step_records_1 (run_id=?)", 1, "", false},
		{"first record", firstRecord, "SEARCH step_records USING COVERING INDEX step_records_counted (owner=? AND stored_at>?)", 1, "", false},
		{"counted records", readRecords, "SEARCH record USING INDEX step_records_counted (owner=? AND stored_at>? AND stored_at<?)", 1, "", true},
		{"records of a run", recordsOfRun, "SEARCH record USING INDEX sqlite_autoindex_step_records_1 (run_id=?)", 1, "", false},
		{"record", oneRecord, "SEARCH record USING INDEX sqlite_autoindex_step_records_1 (run_id=? AND seq=? AND number=?)", 1, "", false},
		{"scores", putScores, "SEARCH step_records USING INDEX sqlite_autoindex_step_records_1 (run_id=? AND seq=? AND number=?)", 1, "", false},
		{"rescored", listRescored, "SEARCH record USING INDEX step_records_recount (stored_at>?)", 1, "", true},
		{"note rescored", noteRescored, "SEARCH step_records USING INDEX sqlite_autoindex_step_records_1 (run_id=? AND seq=? AND number=?)", 1, "", false},
		{"uncounted", listUncounted, "SCAN node_leases", 1, "SCAN workflow_runs USING COVERING INDEX workflow_runs_owned", true},
		{"owned", ownedRuns, "SEARCH workflow_runs USING COVERING INDEX workflow_runs_owned (owner=?)", 1, "", true},
		{"abandoned", abandonedRuns, "", 0, "SCAN workflow_runs USING COVERING INDEX workflow_runs_owned", false},
		{"takeovers", listTakeovers, "SCAN takeovers USING INDEX takeovers_declared", 1, "", false},
		{"inbox", readInbox, "SEARCH agent_inbox USING INDEX agent_inbox_waiting (agent=? AND seq>?)", 1, "", false},
		{"acknowledge", finishMessage, "SEARCH agent_inbox USING INDEX", 1, "", false},
		{"ripe batches", ripeBatches, "SEARCH run USING COVERING INDEX workflow_runs_batch (batch_id=? AND finished_at=?)", 1, "SCAN asked VIRTUAL TABLE INDEX 1:", false},
		{"open batches", listOpenBatches, "", 0, "SCAN batches USING INDEX batches_open", false},
		{"count of a batch", countBatch, "SEARCH workflow_runs USING INDEX workflow_runs_batch (batch_id=?)", 1, "", false},
		{"expired", oldestOfAll, "SEARCH run USING COVERING INDEX workflow_runs_ended (state=? AND queue>?)", 1, "SCAN workflow_runs USING COVERING INDEX workflow_runs_owned", false},
		{"prune", deleteExpired, "SEARCH workflow_runs USING INDEX workflow_runs_ended (state=? AND queue=? AND finished_at>? AND finished_at<?)", 1, "", false},
		{"prune past", deletePast, "SEARCH workflow_runs USING COVERING INDEX workflow_runs_retention (finished_at>?)", 1, "", false},
		{"prune history", deleteHistory, "SEARCH step_checkpoints USING INTEGER PRIMARY KEY (rowid=?)", 2, "", false},
	}
	for _, q := range queries {
		used := 0
		for _, step := range plan(t, store, q.query) {
			switch {
			case q.uses != "" && strings.HasPrefix(step, q.uses):
				used++
			case q.mayScan != "" && step == q.mayScan:
			case strings.HasPrefix(step, "SCAN") && !mayScan.MatchString(step):
				t.Errorf("%s: reads all of it: %s", q.name, step)
			case strings.HasPrefix(step, "USE TEMP B-TREE") && !q.maySort:
				t.Errorf("%s: sorts: %s", q.name, step)
			}
		}
		if used != q.times {
			t.Errorf("%s: %q is %d times in its plan, want %d:\n%s", q.name, q.uses, used, q.times,
				strings.Join(plan(t, store, q.query), "\n"))
		}
	}
}

// A checkpoint that changed a column of an index would write twice as much.
func TestCheckpointWritesNoIndexOfTheRun(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	rows, err := store.readers.db.QueryContext(t.Context(), `EXPLAIN `+advanceRunning, make([]any, parameters(advanceRunning))...)
	if err != nil {
		t.Fatal(err)
	}
	writes := 0
	err = each(rows, func(row scanner) error {
		var opcode string
		var rest [7]any
		err := row.Scan(&rest[0], &opcode, &rest[1], &rest[2], &rest[3], &rest[4], &rest[5], &rest[6])
		if opcode == "OpenWrite" {
			writes++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if writes != 1 {
		t.Errorf("a checkpoint writes %d trees of workflow_runs, want 1", writes)
	}
}
