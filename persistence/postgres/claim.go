package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
)

// What is due is merged from ten ordered lists, one for each priority: within
// a priority the sort key tells what is due, so nothing that is not is walked
// over, however much is scheduled for the next minutes. The first look tells
// how many runs each priority has among those that are next; only so many are
// then locked. Runs that another claim is about to take are passed over, for
// later ones of the same priority. $8 is where the search begins.
//
// While the lease row is held, the boot cannot be declared dead. A claim that
// landed before takes nothing.
var claimRuns = &statement{"claim_runs", `
WITH lease AS MATERIALIZED (
	SELECT boot
	FROM singularity.node_leases
	WHERE boot = $3 AND ` + livingLease + `
	FOR KEY SHARE
), share AS MATERIALIZED (
	SELECT next.priority, count(*) AS runs
	FROM (
		SELECT level.priority
		FROM generate_series(0, 9) AS level (priority)
		CROSS JOIN LATERAL (
			SELECT run.sort_key, run.id
			FROM ` + dueRuns + `
			LIMIT $7
		) AS head
		WHERE EXISTS (SELECT FROM lease)
			AND NOT EXISTS (SELECT FROM singularity.workflow_runs WHERE state = 'running' AND owner = $3 AND claim_id = $4)
		ORDER BY head.sort_key, head.id
		LIMIT $7
	) AS next
	GROUP BY next.priority
), picked AS MATERIALIZED (
	SELECT head.id
	FROM share AS level
	CROSS JOIN LATERAL (
		SELECT run.id
		FROM ` + dueRuns + `
		LIMIT level.runs
		FOR NO KEY UPDATE SKIP LOCKED
	) AS head
), taken AS (
	UPDATE singularity.workflow_runs AS run
	SET state = 'running', sort_key = NULL, owner = $3, claim_id = $4, epoch = run.epoch + 1,
		started_at = coalesce(run.started_at, now()), updated_at = now()
	FROM picked
	WHERE run.id = ANY (ARRAY[picked.id])
)
SELECT boot
FROM lease`}

// dueRuns are the runs of a priority that can be claimed now, the next first.
const dueRuns = claimableRuns + ` AND run.queue = $5 AND (run.crash_count >= 2) = $6
				AND run.priority = level.priority
				AND run.sort_key >= $8 AND run.sort_key <= now() + level.priority * interval '1 minute'
				AND ` + knownDefinitions + `
			ORDER BY run.sort_key, run.id`

// claimableRuns are the conditions that lead to the index that is made for them.
const claimableRuns = `singularity.workflow_runs AS run WHERE run.sort_key IS NOT NULL`

// knownDefinitions is the condition that a run's is among those in $1 and $2.
// IS TRUE keeps them a hash table, where they would be joined.
const knownDefinitions = `((run.workflow, run.version) IN (
				SELECT known.workflow, known.version FROM unnest($1::text[], $2::integer[]) AS known (workflow, version)
			)) IS TRUE`

// Runs that a claim under this id took, also when it landed before.
var claimedRuns = &statement{"claimed_runs", `
SELECT ` + activationColumns + `
FROM singularity.workflow_runs AS run
WHERE run.state = 'running' AND run.owner = $1 AND run.claim_id = $2
ORDER BY run.due_at + run.priority * interval '1 minute', run.id`}

// queueClaims adds two statements for each claim: a batch has few of them, one
// for each queue at most.
func (s *Store) queueClaims(c *commit) error {
	for _, claim := range c.claims {
		w := claim.write
		verdict := &c.verdicts[claim.place]
		verdict.Err = persistence.ErrFenced
		boot, id := textParam(string(w.Boot)), textParam(w.ID)
		known, err := definitions(w.Known)
		if err != nil {
			return err
		}
		begin := s.floors.next(lane{w.Queue, w.Solo})
		params := [][]byte{boot, id, textParam(w.Queue), boolParam(w.Solo), int8Param(max(w.Limit, 0)), timeParam(begin)}
		c.queue(claimRuns, append(known, params...), func(scanner) error {
			verdict.Err = nil
			return nil
		})
		c.queue(claimedRuns, [][]byte{boot, id}, func(row scanner) error {
			activation, err := scanActivation(row)
			if err == nil && verdict.Err == nil {
				verdict.Activations = append(verdict.Activations, activation)
			}
			return err
		})
	}
	return nil
}

func definitions(known []persistence.Definition) ([][]byte, error) {
	list := newArrays(len(known), pgtype.TextOID, pgtype.Int4OID)
	for _, definition := range known {
		list.text(definition.Workflow)
		list.int4(definition.Version)
	}
	return list.params(), list.err
}
