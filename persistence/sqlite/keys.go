package sqlite

import (
	"context"

	"singularity/persistence"
)

// keysAtOnce is how many waiting runs are looked at in one transaction for
// those that need a key.
const keysAtOnce = 100

// place is one in the order of workflow_runs_claimable, within a lane.
type place struct {
	priority int
	sortKey  int64
	id       string
}

// lane is what a claim chooses from.
type lane struct {
	queue string
	solo  bool
}

// A page of waiting runs, with the inputs of those that are to be looked at.
const waitingPage = `
SELECT run.id, run.priority, run.sort_key,
	CASE WHEN ?6 OR run.limit_key IS NULL THEN (SELECT input FROM step_checkpoints WHERE entry = run.input) END
FROM workflow_runs AS run INDEXED BY workflow_runs_claimable
WHERE run.sort_key IS NOT NULL AND run.queue = ?1 AND (run.crash_count >= 2) = ?2
	AND (run.priority, run.sort_key, run.id) > (?3, ?4, ?5)
ORDER BY run.priority, run.sort_key, run.id
LIMIT ?7`

const giveKey = `UPDATE workflow_runs SET limit_key = ? WHERE id = ? AND limit_key IS NOT ?1`

// keyPage gives keys to a page of waiting runs, to all or to those without one,
// and returns the place after it; the beginning, when it was the last page.
func (t *tx) keyPage(of lane, path persistence.KeyPath, after place, all bool) (place, error) {
	seen := 0
	keys := map[string]string{}
	err := t.query(func(row scanner) error {
		var input []byte
		if err := row.Scan(&after.id, &after.priority, &after.sortKey, &input); err != nil {
			return err
		}
		if seen++; input != nil {
			keys[after.id] = path.Of(input)
		}
		return nil
	}, waitingPage, of.queue, of.solo, after.priority, after.sortKey, after.id, all, keysAtOnce)
	if err != nil {
		return place{}, err
	}
	for id, key := range keys {
		if _, err := t.exec(giveKey, key, id); err != nil {
			return place{}, err
		}
	}
	if seen < keysAtOnce {
		return place{}, nil
	}
	return after, nil
}

// giveKeys gives all waiting runs of a queue their keys, in batches.
func (s *Store) giveKeys(ctx context.Context, q persistence.QueueSettings) error {
	if q.KeyPath == "" {
		return nil
	}
	path, err := persistence.ParseKeyPath(q.KeyPath)
	if err != nil {
		return err
	}
	for _, solo := range []bool{false, true} {
		for after := (place{}); ; {
			err := s.writer.transaction(ctx, func(t *tx) (err error) {
				after, err = t.keyPage(lane{q.Name, solo}, path, after, true)
				return err
			})
			if err != nil {
				return err
			}
			if after == (place{}) {
				break
			}
		}
	}
	return nil
}

// giveMissingKeys looks through some of the waiting runs of a lane, from where
// the last claim left off.
func (t *tx) giveMissingKeys(of lane, keyPath string) error {
	path, err := persistence.ParseKeyPath(keyPath)
	if err != nil {
		return err
	}
	next, err := t.keyPage(of, path, t.unkeyed[of], false)
	if err == nil {
		t.unkeyed[of] = next
	}
	return err
}
