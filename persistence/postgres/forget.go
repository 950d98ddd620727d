package postgres

import (
	"encoding/binary"
	"time"

	"singularity/workflow"
)

// daysOver are the days whose checkpoints are dropped with them. They are read
// in the statement that needs them, which holds the table meanwhile: none of
// them can be dropped before its transaction has ended.
const daysOver = `days AS MATERIALIZED (
	SELECT first_id, next_id
	FROM singularity.checkpoint_days
	WHERE over
)`

// isOver tells whether the day of an id is among days.
func isOver(id string) string {
	return `SELECT true FROM days WHERE ` + id + ` >= days.first_id AND ` + id + ` < days.next_id LIMIT 1`
}

// forgetRuns deletes what runs that are gone left behind, to be dropped with
// their day. A run's row and its checkpoints are seen together or not at all, so
// those of a run that somebody is adding are not touched.
var forgetRuns = &statement{"forget_runs", `
WITH ` + daysOver + `, gone AS MATERIALIZED (
	SELECT w.id
	FROM unnest($1::uuid[]) AS w (id)
	WHERE (` + isOver("w.id") + `) IS TRUE
		AND (SELECT true FROM singularity.workflow_runs AS run WHERE run.id = w.id) IS NOT TRUE
), records AS (
	DELETE FROM singularity.step_records AS record USING gone WHERE record.run_id = ANY (ARRAY[gone.id])
)
DELETE FROM singularity.step_checkpoints AS entry USING gone WHERE entry.run_id = ANY (ARRAY[gone.id])`}

// youngEnough is the age of an id up to which its day is not over, however much
// the clocks of a node and of the database differ.
const youngEnough = 30 * time.Minute

// queueForget sees to it that a run whose id had another before it does not meet
// that one's checkpoints. Fresh ids, as nearly all are, had none; after a collision
// that is looked into, since the clock of this machine may be wrong.
func (c *commit) queueForget() {
	young := time.Now().Add(-youngEnough)
	var old []workflow.RunID
	for _, w := range c.inserts {
		if c.again || timeOf(w.write.Run).Before(young) {
			old = append(old, w.write.Run)
		}
	}
	if len(old) > 0 {
		c.queue(forgetRuns, uuids(old), nil)
	}
}

// timeOf is when an id was made, if it is a UUID of version 7.
func timeOf(id workflow.RunID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// firstID is the least id of those that are made from a time on.
func firstID(at time.Time) (id workflow.RunID) {
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	return id
}
