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
		coalesce(due_at, now() + delay) AS due_at, deadline, tags, limit_key, schedule, slot, batch_id, unique_key, unique_within
	FROM unnest(
		$1::uuid[], $2::text[], $3::integer[], $4::bytea[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::text[], $10::text[],
		$11::timestamptz[], $12::interval[], $13::interval[], $14::text[], $15::text[], $16::text[], $17::timestamptz[], $18::text[],
		$19::bytea[], $20::interval[]
	) AS w (
		id, workflow, version, input_hash, key, queue, priority, step, owner, input,
		due_at, delay, deadline, tags, limit_key, schedule, slot, batch_id,
		unique_key, unique_within
	)
), lease AS MATERIALIZED (
	SELECT boot
	FROM singularity.node_leases
	WHERE boot = ANY ($21::text[]) AND ` + livingLease + `
	ORDER BY boot
	FOR KEY SHARE
), inserted AS (
	INSERT INTO singularity.workflow_runs (
		id, workflow, version, input_hash, key, queue, priority, due_at, step,
		state, sort_key, epoch, owner, created_at, started_at, updated_at,
		deadline, tags, limit_key, schedule, slot, batch_id, unique_key, unique_until
	)
	SELECT w.id, w.workflow, w.version, w.input_hash, w.key, w.queue, w.priority, w.due_at, w.step,
		CASE WHEN lease.boot IS NOT NULL THEN 'running' WHEN w.due_at > now() THEN 'scheduled' ELSE 'available' END,
		CASE WHEN lease.boot IS NULL THEN w.due_at + w.priority * interval '1 minute' END,
		CASE WHEN lease.boot IS NULL THEN 0 ELSE 1 END,
		lease.boot, now(), CASE WHEN lease.boot IS NOT NULL THEN now() END, now(),
		w.due_at + w.deadline, w.tags::text[], w.limit_key, w.schedule, w.slot, w.batch_id, w.unique_key, now() + w.unique_within
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
	slices.SortStableFunc(c.inserts, byKey)
	places := make(map[workflow.RunID]int, len(c.inserts))
	for _, w := range c.inserts {
		places[w.write.Run] = w.place
		c.verdicts[w.place].Err = errInTheWay
		if !w.write.Slot.IsZero() {
			c.verdicts[w.place].Err = persistence.ErrSlotTaken
		}
	}
	c.queueForget()
	queue := func(inserts []placed[persistence.Insert]) error { return c.queueRuns(inserts, places) }
	if slices.ContainsFunc(c.inserts, isUnique) {
		return c.queueUnique(queue)
	}
	return queue(c.inserts)
}

func byKey(a, b placed[persistence.Insert]) int {
	switch {
	case isUnique(a) && isUnique(b):
		return bytes.Compare(a.write.Unique.Key[:], b.write.Unique.Key[:])
	case isUnique(a):
		return 1
	case isUnique(b):
		return -1
	}
	if order := cmp.Or(cmp.Compare(a.write.Key, b.write.Key), cmp.Compare(a.write.Workflow, b.write.Workflow)); order != 0 || a.write.Key != "" {
		return order
	}
	return bytes.Compare(a.write.Run[:], b.write.Run[:])
}

func (c *commit) queueRuns(inserts []placed[persistence.Insert], places map[workflow.RunID]int) error {
	list, owners, full, err := insertRows(inserts)
	if err != nil {
		return err
	}
	landed := func(row scanner) error {
		var id workflow.RunID
		var owned bool
		var wait time.Duration
		err := row.Scan((*[16]byte)(&id), &owned, &wait)
		verdict := &c.verdicts[places[id]]
		verdict.Err, verdict.Owned, verdict.Wait = nil, owned, wait
		return err
	}
	switch {
	case full:
		c.queueArrays(insertFullRuns, list, owners, landed)
	case len(inserts) == 1:
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
			pgtype.TextOID, pgtype.TimestamptzOID, pgtype.TextOID, pgtype.ByteaOID, pgtype.IntervalOID)
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
	uniqueFields(list, extras.Unique)
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
