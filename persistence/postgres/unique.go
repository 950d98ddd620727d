package postgres

import (
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// holdsUnique are the conditions that lead to the index of unique keys.
const holdsUnique = `unique_key <> '' AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined'
	AND (state <> 'completed' OR unique_until IS NOT NULL)`

// Whoever is to hold a unique key waits until those before have committed, and
// sees what they left.
var lockUnique = &statement{"lock_unique", `
SELECT pg_advisory_xact_lock(w.lock)
FROM unnest($1::bigint[]) AS w (lock)`}

// holders are the runs that hold the keys of w. LIMIT keeps them from being found
// in any other way than key by key, however few there are.
const holders = `LATERAL (
	SELECT id
	FROM singularity.workflow_runs
	WHERE unique_key = w.wanted AND ` + holdsUnique + `
	LIMIT 1
) AS holder`

var lapseUnique = &statement{"lapse_unique", `
UPDATE singularity.workflow_runs AS run
SET unique_key = ''
FROM unnest($1::bytea[]) AS w (wanted)
CROSS JOIN ` + holders + `
WHERE run.id = ANY (ARRAY[holder.id]) AND (run.unique_until <= now()) IS TRUE`}

// A claim that is under way has the row, and is waited for: its run has begun
// then. A run that is there is not there to replace itself.
var replaceRuns = &statement{"replace_runs", `
UPDATE singularity.workflow_runs AS run
SET state = 'cancelled', sort_key = NULL, reason = w.reason, epoch = run.epoch + 1, finished_at = now(), updated_at = now()
FROM unnest($1::uuid[], $2::bytea[], $3::text[]) WITH ORDINALITY AS w (id, wanted, reason, n)
CROSS JOIN ` + holders + `
WHERE run.id = ANY (ARRAY[holder.id]) AND (run.started_at IS NULL AND run.finished_at IS NULL) IS TRUE
	AND (SELECT true FROM singularity.workflow_runs AS there WHERE there.id = w.id LIMIT 1) IS NOT TRUE
RETURNING w.n, ` + runColumns}

var existingByUnique = &statement{"existing_by_unique", `
SELECT w.n, found.*
FROM unnest($1::bytea[]) WITH ORDINALITY AS w (wanted, n)
CROSS JOIN LATERAL (
	SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
	FROM singularity.workflow_runs AS run
	WHERE run.unique_key = w.wanted AND ` + holdsUnique + `
	LIMIT 1
) AS found`}

// Runs whose time is over are not in the way of a retry.
var lapseRivals = &statement{"lapse_rivals", `
UPDATE singularity.workflow_runs AS run
SET unique_key = ''
FROM (SELECT unique_key FROM singularity.workflow_runs WHERE id = ANY ($1::uuid[]) AND unique_key <> '') AS w (wanted)
CROSS JOIN ` + holders + `
WHERE run.id = ANY (ARRAY[holder.id]) AND (run.unique_until <= now()) IS TRUE`}

// uniqueHolder is the other run that holds the unique key of this one, which
// would hold it too.
const uniqueHolder = `
	SELECT holder.id
	FROM singularity.workflow_runs AS holder
	WHERE holder.unique_key = run.unique_key AND ` + holdsUnique + ` AND holder.id <> run.id AND (run.unique_until <= now()) IS NOT TRUE
	LIMIT 1`

// queueUnique makes room for the inserts with a unique key. In a wave no insert
// replaces another one of the same.
func (c *commit) queueUnique(queueWave func(wave []placed[persistence.Insert]) error) error {
	c.queue(lockUnique, uniqueLocks(c.inserts), nil)
	for wave := range waves(c.inserts) {
		c.queueLapse(wave)
		c.queueReplace(wave)
		if err := queueWave(wave); err != nil {
			return err
		}
	}
	return nil
}

func isUnique(w placed[persistence.Insert]) bool { return w.write.Unique != nil }

func replaces(w placed[persistence.Insert]) bool {
	return isUnique(w) && w.write.Unique.OnConflict == workflow.Replace
}

// uniqueLocks are the numbers of the keys' locks, in the order in which every
// batch takes them.
func uniqueLocks(inserts []placed[persistence.Insert]) [][]byte {
	var locks []int64
	for _, w := range inserts {
		if isUnique(w) {
			locks = append(locks, int64(binary.BigEndian.Uint64(w.write.Unique.Key[:])))
		}
	}
	slices.Sort(locks)
	locks = slices.Compact(locks)
	list := newArrays(len(locks), pgtype.Int8OID)
	for _, lock := range locks {
		list.int8(lock)
	}
	return list.params()
}

// waves splits the inserts, which are sorted by their keys, before each that may
// have to replace one before.
func waves(inserts []placed[persistence.Insert]) func(yield func([]placed[persistence.Insert]) bool) {
	return func(yield func([]placed[persistence.Insert]) bool) {
		begin := 0
		for i := 1; i < len(inserts); i++ {
			if replaces(inserts[i]) && isUnique(inserts[i-1]) && inserts[i-1].write.Unique.Key == inserts[i].write.Unique.Key {
				if !yield(inserts[begin:i]) {
					return
				}
				begin = i
			}
		}
		yield(inserts[begin:])
	}
}

func (c *commit) queueLapse(wave []placed[persistence.Insert]) {
	list := newArrays(len(wave), pgtype.ByteaOID)
	for _, w := range wave {
		if isUnique(w) {
			list.bytes(w.write.Unique.Key[:])
		}
	}
	if list.rows > 0 {
		c.queue(lapseUnique, list.params(), nil)
	}
}

func (c *commit) queueReplace(wave []placed[persistence.Insert]) {
	var replacing []placed[persistence.Insert]
	list := newArrays(len(wave), pgtype.UUIDOID, pgtype.ByteaOID, pgtype.TextOID)
	for _, w := range wave {
		if replaces(w) {
			list.uuid(w.write.Run)
			list.bytes(w.write.Unique.Key[:])
			list.text(persistence.ReplacedBy(w.write.Run))
			replacing = append(replacing, w)
		}
	}
	if len(replacing) == 0 {
		return
	}
	c.queue(replaceRuns, list.params(), func(row scanner) error {
		var n int64
		run, err := scanRun(numbered{row, &n})
		if err == nil {
			c.verdicts[replacing[n-1].place].Changed = &run
		}
		return err
	})
}

// uniqueFields are the last of an insert's extras.
func uniqueFields(list *arrays, unique *persistence.Unique) {
	if unique == nil {
		list.null()
		list.null()
		return
	}
	list.bytes(unique.Key[:])
	if unique.Within == 0 {
		list.null()
	} else {
		list.interval(unique.Within)
	}
}
