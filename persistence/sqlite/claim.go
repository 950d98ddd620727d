package sqlite

import (
	"encoding/json"

	"singularity/persistence"
)

// Runs that a claim under this id took, also when it landed before.
const claimedRuns = `
SELECT ` + activationColumns + `
FROM ` + runTables + `
WHERE run.state = 'running' AND run.owner = ? AND run.claim_id = ?
ORDER BY run.due_at + run.priority * 60000000, run.id`

// What is due is merged from ten ordered lists, one for each priority: within
// a priority the sort key tells what is due, so nothing that is not is walked
// over, however much is scheduled for the next minutes.
const claimRuns = `
UPDATE workflow_runs
SET state = 'running', sort_key = NULL, owner = ?3, claim_id = ?4, epoch = epoch + 1,
	started_at = coalesce(started_at, ?2), updated_at = ?2
WHERE id IN (
	SELECT id
	FROM (` +
	claimable + ` AND priority = 0 AND sort_key <= ?2 UNION ALL` +
	claimable + ` AND priority = 1 AND sort_key <= ?2 + 60000000 UNION ALL` +
	claimable + ` AND priority = 2 AND sort_key <= ?2 + 120000000 UNION ALL` +
	claimable + ` AND priority = 3 AND sort_key <= ?2 + 180000000 UNION ALL` +
	claimable + ` AND priority = 4 AND sort_key <= ?2 + 240000000 UNION ALL` +
	claimable + ` AND priority = 5 AND sort_key <= ?2 + 300000000 UNION ALL` +
	claimable + ` AND priority = 6 AND sort_key <= ?2 + 360000000 UNION ALL` +
	claimable + ` AND priority = 7 AND sort_key <= ?2 + 420000000 UNION ALL` +
	claimable + ` AND priority = 8 AND sort_key <= ?2 + 480000000 UNION ALL` +
	claimable + ` AND priority = 9 AND sort_key <= ?2 + 540000000
		ORDER BY sort_key, id
		LIMIT ?7
	)
)`

const claimable = `
		SELECT id, sort_key FROM ` + claimableRuns + ` AND ` + knownDefinitions + ` AND queue = ?5 AND (crash_count >= 2) = ?6`

// claimableRuns insists on the index that is made for them.
const claimableRuns = `workflow_runs INDEXED BY workflow_runs_claimable WHERE sort_key IS NOT NULL`

const knownDefinitions = `(workflow, version) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))`

func (t *tx) claim(w persistence.Claim) (persistence.Verdict, error) {
	var verdict persistence.Verdict
	alive, err := t.alive(w.Boot)
	if err != nil {
		return verdict, err
	}
	if !alive {
		return refused(persistence.ErrFenced), nil
	}
	read := func(row scanner) error {
		activation, err := scanActivation(row)
		verdict.Activations = append(verdict.Activations, activation)
		return err
	}
	err = t.query(read, claimedRuns, string(w.Boot), w.ID)
	if err != nil || len(verdict.Activations) > 0 {
		return verdict, err
	}
	taken := 0
	if w.Limited {
		taken, err = t.claimLimited(w, &verdict)
	} else {
		taken, err = t.claimDue(w, w.Limit)
	}
	if err != nil || taken == 0 {
		return verdict, err
	}
	err = t.query(read, claimedRuns, string(w.Boot), w.ID)
	return verdict, err
}

// claimDue takes due runs, and returns how many.
func (t *tx) claimDue(w persistence.Claim, limit int) (int, error) {
	taken, err := t.exec(claimRuns, definitions(w.Known), t.at, string(w.Boot), w.ID, w.Queue, w.Solo, max(limit, 0))
	return int(taken), err
}

// definitions lists them as JSON, [["order",1],…], since SQLite takes no lists.
func definitions(known []persistence.Definition) string {
	pairs := make([][2]any, len(known))
	for i, definition := range known {
		pairs[i] = [2]any{definition.Workflow, definition.Version}
	}
	list, err := json.Marshal(pairs)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return string(list)
}
