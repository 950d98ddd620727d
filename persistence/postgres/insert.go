package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// livingLease is the condition under which a boot may get runs.
const livingLease = `state IN ('alive', 'draining') AND lease_until > clock_timestamp()`

// The key index and the id refuse a second run alike. While the lease rows are
// held, their boots cannot be declared dead; renewals are not in the way. The
// inputs follow in the same statement: IS TRUE keeps that condition a hash
// table, where it would become a nested loop.
var insertRuns = &statement{"insert_runs", `
WITH w AS MATERIALIZED (
	SELECT id, workflow, version, input_hash, key, queue, priority, step, owner, input
	FROM unnest(
		$1::uuid[], $2::text[], $3::integer[], $4::bytea[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::text[], $10::text[]
	) AS w (id, workflow, version, input_hash, key, queue, priority, step, owner, input)
), lease AS MATERIALIZED (
	SELECT boot
	FROM singularity.node_leases
	WHERE boot = ANY ($11::text[]) AND ` + livingLease + `
	ORDER BY boot
	FOR KEY SHARE
), inserted AS (
	INSERT INTO singularity.workflow_runs (
		id, workflow, version, input_hash, key, queue, priority, due_at, step,
		state, sort_key, epoch, owner, created_at, started_at, updated_at
	)
	SELECT w.id, w.workflow, w.version, w.input_hash, w.key, w.queue, w.priority, now(), w.step,
		CASE WHEN lease.boot IS NOT NULL THEN 'running' ELSE 'available' END,
		CASE WHEN lease.boot IS NULL THEN now() + w.priority * interval '1 minute' END,
		CASE WHEN lease.boot IS NULL THEN 0 ELSE 1 END,
		lease.boot, now(), CASE WHEN lease.boot IS NOT NULL THEN now() END, now()
	FROM w
	LEFT JOIN lease ON lease.boot = w.owner
	ON CONFLICT DO NOTHING
	RETURNING id, owner
), documented AS (
	INSERT INTO singularity.step_checkpoints (run_id, seq, input)
	SELECT id, 0, input
	FROM w
	WHERE (id IN (SELECT id FROM inserted)) IS TRUE
)
SELECT id, owner IS NOT NULL, interval '0'
FROM inserted`}

// insertRun does the same for one run that has its batch to itself: somebody
// waits for it, and the server is done with it sooner.
var insertRun = &statement{"insert_run", `
WITH lease AS MATERIALIZED (
	SELECT boot
	FROM singularity.node_leases
	WHERE boot = $9::text AND ` + livingLease + `
	FOR KEY SHARE
), inserted AS (
	INSERT INTO singularity.workflow_runs (
		id, workflow, version, input_hash, key, queue, priority, due_at, step,
		state, sort_key, epoch, owner, created_at, started_at, updated_at
	)
	SELECT $1::uuid, $2::text, $3::integer, $4::bytea, $5::text, $6::text, $7::integer, now(), $8::text,
		CASE WHEN lease.boot IS NOT NULL THEN 'running' ELSE 'available' END,
		CASE WHEN lease.boot IS NULL THEN now() + $7 * interval '1 minute' END,
		CASE WHEN lease.boot IS NULL THEN 0 ELSE 1 END,
		lease.boot, now(), CASE WHEN lease.boot IS NOT NULL THEN now() END, now()
	FROM (SELECT) AS this
	LEFT JOIN lease ON true
	ON CONFLICT DO NOTHING
	RETURNING id, owner
), documented AS (
	INSERT INTO singularity.step_checkpoints (run_id, seq, input)
	SELECT id, 0, $10::text
	FROM inserted
)
SELECT id, owner IS NOT NULL, interval '0'
FROM inserted`}

// insertFullRuns does it for runs of which some have extras.
var insertFullRuns = &statement{"insert_full_runs", `
WITH w AS MATERIALIZED (
	SELECT id, workflow, version, input_hash, key, queue, priority, step, owner, input,
		coalesce(due_at, now() + delay) AS due_at, deadline, tags, limit_key, schedule, slot, batch_id
	FROM unnest(
		$1::uuid[], $2::text[], $3::integer[], $4::bytea[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::text[], $10::text[],
		$11::timestamptz[], $12::interval[], $13::interval[], $14::text[], $15::text[], $16::text[], $17::timestamptz[], $18::text[]
	) AS w (
		id, workflow, version, input_hash, key, queue, priority, step, owner, input,
		due_at, delay, deadline, tags, limit_key, schedule, slot, batch_id
	)
), lease AS MATERIALIZED (
	SELECT boot
	FROM singularity.node_leases
	WHERE boot = ANY ($19::text[]) AND ` + livingLease + `
	ORDER BY boot
	FOR KEY SHARE
), inserted AS (
	INSERT INTO singularity.workflow_runs (
		id, workflow, version, input_hash, key, queue, priority, due_at, step,
		state, sort_key, epoch, owner, created_at, started_at, updated_at,
		deadline, tags, limit_key, schedule, slot, batch_id
	)
	SELECT w.id, w.workflow, w.version, w.input_hash, w.key, w.queue, w.priority, w.due_at, w.step,
		CASE WHEN lease.boot IS NOT NULL THEN 'running' WHEN w.due_at > now() THEN 'scheduled' ELSE 'available' END,
		CASE WHEN lease.boot IS NULL THEN w.due_at + w.priority * interval '1 minute' END,
		CASE WHEN lease.boot IS NULL THEN 0 ELSE 1 END,
		lease.boot, now(), CASE WHEN lease.boot IS NOT NULL THEN now() END, now(),
		w.due_at + w.deadline, w.tags::text[], w.limit_key, w.schedule, w.slot, w.batch_id
	FROM w
	LEFT JOIN lease ON lease.boot = w.owner AND w.due_at <= now()
	ON CONFLICT DO NOTHING
	RETURNING id, owner, due_at
), documented AS (
	INSERT INTO singularity.step_checkpoints (run_id, seq, input)
	SELECT id, 0, input
	FROM w
	WHERE (id IN (SELECT id FROM inserted)) IS TRUE
)
SELECT id, owner IS NOT NULL, due_at - now()
FROM inserted`}

// queueInserts orders the runs by their keys, so that two batches with the
// same keys do not wait for each other; of two runs with one key the first in
// the batch is first.
func (c *commit) queueInserts() error {
	if len(c.inserts) == 0 {
		return nil
	}
	slices.SortStableFunc(c.inserts, func(a, b placed[persistence.Insert]) int {
		if order := cmp.Or(cmp.Compare(a.write.Key, b.write.Key), cmp.Compare(a.write.Workflow, b.write.Workflow)); order != 0 || a.write.Key != "" {
			return order
		}
		return bytes.Compare(a.write.Run[:], b.write.Run[:])
	})
	places := make(map[workflow.RunID]int, len(c.inserts))
	for _, w := range c.inserts {
		places[w.write.Run] = w.place
		c.verdicts[w.place].Err = errInTheWay
		if !w.write.Slot.IsZero() {
			c.verdicts[w.place].Err = persistence.ErrSlotTaken
		}
	}
	list, owners, full, err := insertRows(c.inserts)
	if err != nil {
		return err
	}
	landed := func(row scanner) error {
		var id workflow.RunID
		var owned bool
		var wait time.Duration
		err := row.Scan((*[16]byte)(&id), &owned, &wait)
		c.verdicts[places[id]] = persistence.Verdict{Owned: owned, Wait: wait}
		return err
	}
	switch {
	case full:
		c.queueArrays(insertFullRuns, list, owners, landed)
	case len(c.inserts) == 1:
		c.queueScalars(insertRun, list, landed)
	default:
		c.queueArrays(insertRuns, list, owners, landed)
	}
	return nil
}

// insertRows are the inserts, with their extras if any has some, and apart from
// them the boots that are to own any.
func insertRows(inserts []placed[persistence.Insert]) (list *arrays, boots [][]byte, full bool, err error) {
	full = slices.ContainsFunc(inserts, func(w placed[persistence.Insert]) bool { return !w.write.Plain() })
	columns := []uint32{
		pgtype.UUIDOID, pgtype.TextOID, pgtype.Int4OID, pgtype.ByteaOID, pgtype.TextOID, pgtype.TextOID,
		pgtype.Int4OID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID,
	}
	if full {
		columns = append(columns, pgtype.TimestamptzOID, pgtype.IntervalOID, pgtype.IntervalOID, pgtype.TextOID, pgtype.TextOID,
			pgtype.TextOID, pgtype.TimestamptzOID, pgtype.TextOID)
	}
	list = newArrays(len(inserts), columns...)
	owners := newArrays(1, pgtype.TextOID)
	last := persistence.BootID("")
	for _, insert := range inserts {
		w := insert.write
		list.uuid(w.Run)
		list.text(w.Workflow)
		list.int4(w.Version)
		list.bytes(w.InputHash[:])
		list.textOrNull(w.Key)
		list.text(w.Queue)
		list.int4(w.Priority)
		list.text(w.Step)
		list.textOrNull(string(w.Owner))
		list.bytes(w.Input)
		if full {
			extraFields(list, w.Extras)
		}
		if w.Owner != last {
			owners.text(string(w.Owner))
			last = w.Owner
		}
	}
	return list, owners.params(), full, list.err
}

func extraFields(list *arrays, extras persistence.Extras) {
	list.timeOrNull(extras.Due)
	list.interval(extras.Delay)
	if extras.Deadline == 0 {
		list.null()
	} else {
		list.interval(extras.Deadline)
	}
	list.textOrNull(tagList(extras.Tags))
	if extras.LimitKey == nil {
		list.null()
	} else {
		list.text(*extras.LimitKey)
	}
	list.textOrNull(extras.Schedule)
	list.timeOrNull(extras.Slot)
	list.textOrNull(extras.Batch)
}

// tagList is an array in the form that the database reads from text, empty for
// no tags: arrays of arrays all have the same size.
func tagList(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	quoted := make([]string, len(tags))
	for i, tag := range tags {
		quoted[i] = `"` + tagEscapes.Replace(tag) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

var tagEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// LIMIT keeps these from being joined in any other way than run by run.
var existingByID = &statement{"existing_by_id", `
SELECT w.n, found.*
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, n)
CROSS JOIN LATERAL (
	SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
	FROM singularity.workflow_runs AS run
	WHERE run.id = w.id
	LIMIT 1
) AS found`}

var existingByKey = &statement{"existing_by_key", `
SELECT w.n, found.*
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (workflow, key, n)
CROSS JOIN LATERAL (
	SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
	FROM singularity.workflow_runs AS run
	WHERE run.workflow = w.workflow AND run.key = w.key
		AND run.state <> 'failed' AND run.state <> 'cancelled' AND run.state <> 'quarantined'
	LIMIT 1
) AS found`}

// errInTheWay is the verdict on an insert as long as nobody has seen the run
// that is in its way, and if that is gone by then.
var errInTheWay = fmt.Errorf("%w: another run had its id or key, and has just gone; start it again", workflow.ErrUnavailable)

// queueExisting looks for the runs that were in the way of inserts.
func (c *commit) queueExisting() error {
	c.queueInTheWay(existingByKey, existingByID, scanWhole)
	return nil
}

// queueInTheWay looks for them by two statements, whose rows scan reads.
func (c *commit) queueInTheWay(byKey, byID *statement, scan func(scanner, ...any) (workflow.Run, error)) {
	var missing []placed[persistence.Insert]
	for _, w := range c.inserts {
		if c.verdicts[w.place].Err != nil {
			missing = append(missing, w)
		}
	}
	if len(missing) == 0 {
		return
	}
	keys := newArrays(len(missing), pgtype.TextOID, pgtype.TextOID)
	for _, w := range missing {
		keys.text(w.write.Workflow)
		keys.textOrNull(w.write.Key)
	}
	found := func(keyed bool) func(scanner) error {
		return func(row scanner) error {
			var n int64
			var hash []byte
			run, err := scan(numbered{row, &n}, &hash)
			if err == nil {
				w := missing[n-1]
				c.verdicts[w.place] = attach(w.write, &run, hash, keyed)
			}
			return err
		}
	}
	c.queue(byKey, keys.params(), found(true))
	c.queue(byID, uuids(subjects(missing)), found(false)) // prevails
}

// attach is the verdict on an insert that another run is in the way of.
func attach(w persistence.Insert, run *workflow.Run, hash []byte, byKey bool) persistence.Verdict {
	if run.Workflow == w.Workflow && bytes.Equal(hash, w.InputHash[:]) {
		return persistence.Verdict{Existing: run}
	}
	conflict := &workflow.KeyConflictError{Workflow: w.Workflow, Run: run.ID}
	if byKey {
		conflict.Key = w.Key
	}
	return refused(conflict)
}

const wakeNodes = `
SELECT pg_notify('singularity_wake', $1)`

// InsertTx inserts a run in the caller's transaction, with which it comes into
// being or not: available, or scheduled if it is due later. Nodes hear of it
// when the transaction commits. Owner is not regarded.
func (s *Store) InsertTx(ctx context.Context, tx pgx.Tx, insert persistence.Insert) (persistence.Verdict, error) {
	verdict, err := insertTx(ctx, tx, insert)
	if err != nil {
		return persistence.Verdict{}, fmt.Errorf("insert run %s: %w", insert.Run, translate(err))
	}
	return verdict, nil
}

func insertTx(ctx context.Context, tx pgx.Tx, insert persistence.Insert) (persistence.Verdict, error) {
	insert.Owner = ""
	c, err := sortOut([]persistence.Write{insert})
	if err != nil {
		return persistence.Verdict{}, err
	}
	for _, queue := range []func() error{c.queueInserts, c.queueExisting} {
		c.queries = c.queries[:0]
		if err := queue(); err != nil {
			return persistence.Verdict{}, err
		}
		if err := within(ctx, tx, c.queries); err != nil {
			return persistence.Verdict{}, err
		}
	}
	verdict := c.verdicts[0]
	if verdict.Err == nil && verdict.Existing == nil {
		_, err = tx.Exec(ctx, wakeNodes, insert.Queue)
	}
	return verdict, err
}
