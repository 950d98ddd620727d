package postgres

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// The fence is in the statement that writes, and what the fence lets pass
// carries its checkpoint along. All shapes of an advance are one statement; a
// run that goes on keeps the values of all columns that indexes have. A lone
// advance goes without arrays, which would double what it costs the server.
//
// = ANY (ARRAY[…]) and IS TRUE allow one plan alone, whatever is in the table
// or seems to be: take the rows as they come, look each run up by its id.
// IS NOT DISTINCT FROM keeps the index of owners out of it.
//
// A run that is handed over keeps its place in the queue; one that waits for
// something else than its turn has none.
var (
	advanceRun  = &statement{"advance_run", advanceFrom(oneAdvance)}
	advanceRuns = &statement{"advance_runs", advanceFrom(manyAdvances)}
)

const oneAdvance = `(
		SELECT $1::uuid AS id, $2::text AS boot, $3::bigint AS epoch, $4::bigint AS seq,
			$5::text AS state, $6::boolean AS released, $7::interval AS delay,
			$8::text AS step, $9::integer AS turn, $10::integer AS attempt, $11::text AS error, $12::text AS reason,
			$13::text AS outcome, $14::text AS entry_step, $15::integer AS entry_turn, $16::integer AS entry_attempt,
			$17::text AS entry_state, $18::text AS entry_output, $19::text AS entry_summary, $20::text AS entry_error,
			$21::timestamptz AS started_at, $22::timestamptz AS ended_at,
			1::bigint AS n
	) AS w`

const manyAdvances = `unnest(
		$1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::boolean[], $7::interval[],
		$8::text[], $9::integer[], $10::integer[], $11::text[], $12::text[],
		$13::text[], $14::text[], $15::integer[], $16::integer[], $17::text[], $18::text[], $19::text[], $20::text[],
		$21::timestamptz[], $22::timestamptz[]
	) WITH ORDINALITY AS w (
		id, boot, epoch, seq, state, released, delay,
		step, turn, attempt, error, reason,
		outcome, entry_step, entry_turn, entry_attempt, entry_state, entry_output, entry_summary, entry_error,
		started_at, ended_at,
		n
	)`

func advanceFrom(rows string) string {
	return `
WITH moved AS (
	UPDATE singularity.workflow_runs AS run
	SET seq = run.seq + 1, step = w.step, turn = w.turn, attempt = w.attempt, error = w.error, reason = w.reason,
		state = w.state,
		crash_count = CASE WHEN w.outcome IS NULL THEN run.crash_count ELSE 0 END,
		epoch = CASE WHEN w.released THEN run.epoch + 1 ELSE run.epoch END,
		owner = CASE WHEN w.released THEN NULL ELSE run.owner END,
		claim_id = CASE WHEN w.released THEN NULL ELSE run.claim_id END,
		released_by = CASE WHEN w.released THEN run.owner ELSE run.released_by END,
		released_epoch = CASE WHEN w.released THEN run.epoch ELSE run.released_epoch END,
		released_seq = CASE WHEN w.released THEN run.seq + 1 ELSE run.released_seq END,
		due_at = coalesce(now() + w.delay, run.due_at),
		sort_key = CASE WHEN w.released AND w.state <> 'waiting' THEN coalesce(now() + w.delay, run.due_at) + run.priority * interval '1 minute' END,
		finished_at = CASE WHEN w.state = 'completed' OR w.state = 'failed' THEN now() END,
		updated_at = now()
	FROM ` + rows + `
	WHERE run.id = ANY (ARRAY[w.id]) AND run.owner IS NOT DISTINCT FROM w.boot AND run.epoch = w.epoch AND run.seq = w.seq
		AND (run.state = 'running') IS TRUE
	RETURNING w.n, run.id, run.seq, w.epoch, w.boot,
		w.outcome, w.entry_step, w.entry_turn, w.entry_attempt, w.entry_state, w.entry_output, w.entry_summary, w.entry_error,
		w.started_at, w.ended_at
), entered AS (
	INSERT INTO singularity.step_checkpoints (
		run_id, seq, epoch, owner, outcome, step, turn, attempt, state, output, summary, error, started_at, finished_at
	)
	SELECT id, seq, epoch, boot,
		outcome, entry_step, entry_turn, entry_attempt, entry_state, entry_output, entry_summary, entry_error,
		started_at, ended_at
	FROM moved
	WHERE outcome IS NOT NULL
)
SELECT array_agg(n)
FROM moved`
}

// queueAdvances orders the runs by their ids: the order in which all batches
// lock them.
func (c *commit) queueAdvances() error {
	if len(c.advances) == 0 {
		return nil
	}
	slices.SortFunc(c.advances, func(a, b placed[persistence.Advance]) int {
		return bytes.Compare(a.write.Run[:], b.write.Run[:])
	})
	list, err := advanceRows(c.advances)
	if err != nil {
		return err
	}
	for _, w := range c.advances {
		c.verdicts[w.place].Err = persistence.ErrFenced
	}
	c.queueRows(advanceRun, advanceRuns, list, nil, func(row scanner) error {
		var landed []int64
		err := row.Scan(&landed)
		for _, n := range landed {
			c.verdicts[c.advances[n-1].place].Err = nil
		}
		return err
	})
	if err := c.queueRecords(); err != nil {
		return err
	}
	if err := c.queueMessages(); err != nil {
		return err
	}
	return c.queueResults()
}

func advanceRows(advances []placed[persistence.Advance]) (*arrays, error) {
	list := newArrays(len(advances),
		pgtype.UUIDOID, pgtype.TextOID, pgtype.Int8OID, pgtype.Int8OID, pgtype.TextOID, pgtype.BoolOID, pgtype.IntervalOID,
		pgtype.TextOID, pgtype.Int4OID, pgtype.Int4OID, pgtype.TextOID, pgtype.TextOID,
		pgtype.TextOID, pgtype.TextOID, pgtype.Int4OID, pgtype.Int4OID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID,
		pgtype.TimestamptzOID, pgtype.TimestamptzOID)
	for _, advance := range advances {
		w := advance.write
		list.uuid(w.Run)
		list.text(string(w.Boot))
		list.int8(w.Epoch)
		list.int8(w.Seq)
		list.text(string(w.State))
		list.bool(releases(w.State))
		if w.State == workflow.Retryable {
			list.interval(w.Delay)
		} else {
			list.null()
		}
		list.text(w.Step)
		list.int4(w.Turn)
		list.int4(w.Attempt)
		list.textOrNull(w.Error)
		list.textOrNull(w.Reason)
		if err := addEntry(list, w.Entry); err != nil {
			return nil, err
		}
	}
	return list, list.err
}

func addEntry(list *arrays, entry *persistence.Entry) error {
	if entry == nil {
		for range 10 {
			list.null()
		}
		return nil
	}
	summary, err := encodeSummary(entry.Summary)
	if err != nil {
		return err
	}
	list.text(string(entry.Outcome))
	list.text(entry.Step)
	list.int4(entry.Turn)
	list.int4(entry.Attempt)
	list.bytes(entry.State)
	list.bytes(entry.Output)
	list.bytes(summary)
	list.textOrNull(entry.Error)
	list.time(entry.StartedAt)
	list.time(entry.FinishedAt)
	return nil
}

func releases(state workflow.State) bool {
	return state == workflow.Available || state == workflow.Retryable || state == workflow.Waiting
}

func checkAdvance(w persistence.Advance) error {
	switch {
	case w.State == workflow.Running && w.Entry == nil:
		return fmt.Errorf("%w: an owner cannot go on without an entry", persistence.ErrBadWrite)
	case w.State == workflow.Running, w.State == workflow.Completed, w.State == workflow.Failed, releases(w.State):
		return nil
	default:
		return fmt.Errorf("%w: an owner cannot make its run %q", persistence.ErrBadWrite, w.State)
	}
}

// A record comes with an entry of the same owner and epoch. It is there
// already when the write landed before.
var insertRecords = &statement{"insert_records", `
INSERT INTO singularity.step_records (run_id, seq, number, kind, doc, owner, recorded_at)
SELECT w.run_id, w.seq, w.number, w.kind, w.doc, w.boot, w.recorded_at
FROM unnest(
	$1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::timestamptz[]
) AS w (run_id, seq, boot, epoch, number, kind, doc, recorded_at)
WHERE ` + entered + `
ON CONFLICT DO NOTHING`}

// entered tells whether the history has the entry of w, with which more comes.
const entered = `(
		SELECT true
		FROM singularity.step_checkpoints AS entry
		WHERE entry.run_id = w.run_id AND entry.seq = w.seq AND entry.owner = w.boot AND entry.epoch = w.epoch
	)`

func (c *commit) queueRecords() error {
	list := newArrays(0, pgtype.UUIDOID, pgtype.Int8OID, pgtype.TextOID, pgtype.Int8OID,
		pgtype.Int4OID, pgtype.TextOID, pgtype.TextOID, pgtype.TimestamptzOID)
	for _, advance := range c.advances {
		w := advance.write
		if w.Entry == nil {
			continue
		}
		for i, fact := range w.Entry.Facts {
			list.uuid(w.Run)
			list.int8(w.Seq + 1)
			list.text(string(w.Boot))
			list.int8(w.Epoch)
			list.int4(i)
			list.text(fact.Kind)
			list.text(string(fact.Doc))
			list.time(fact.At)
		}
	}
	if list.rows > 0 {
		c.queue(insertRecords, list.params(), nil)
	}
	return list.err
}

// The history keeps who made each entry. What has none is the run's end, while
// it stands, or its last release.
var landedEntries = &statement{"landed_entries", `
SELECT w.n
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[]) WITH ORDINALITY AS w (run_id, seq, boot, epoch, n)
WHERE ` + entered}

var landedBare = &statement{"landed_bare", `
SELECT w.n
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY AS w (run_id, seq, boot, epoch, state, n)
WHERE (
		SELECT true
		FROM singularity.workflow_runs AS run
		WHERE run.id = w.run_id AND (
			run.seq = w.seq AND run.owner = w.boot AND run.epoch = w.epoch AND run.state = w.state
			OR run.released_seq = w.seq AND run.released_by = w.boot AND run.released_epoch = w.epoch
		)
	)`}

// queueLanded looks whether the writes that the fence refused were refused
// because they had landed before.
func (c *commit) queueLanded() error {
	var entries, bare []placed[persistence.Advance]
	for _, w := range c.advances {
		switch {
		case c.verdicts[w.place].Err == nil:
		case w.write.Entry != nil:
			entries = append(entries, w)
		default:
			bare = append(bare, w)
		}
	}
	if len(entries) > 0 {
		c.queue(landedEntries, landedParams(entries).params(), c.recognise(entries))
	}
	if len(bare) > 0 {
		states := newArrays(len(bare), pgtype.TextOID)
		for _, w := range bare {
			states.text(string(w.write.State))
		}
		c.queue(landedBare, append(landedParams(bare).params(), states.params()...), c.recognise(bare))
	}
	return nil
}

func landedParams(advances []placed[persistence.Advance]) *arrays {
	list := newArrays(len(advances), pgtype.UUIDOID, pgtype.Int8OID, pgtype.TextOID, pgtype.Int8OID)
	for _, w := range advances {
		list.uuid(w.write.Run)
		list.int8(w.write.Seq + 1)
		list.text(string(w.write.Boot))
		list.int8(w.write.Epoch)
	}
	return list
}

// recognise reads the numbers of writes that landed before.
func (c *commit) recognise(advances []placed[persistence.Advance]) func(scanner) error {
	return func(row scanner) error {
		var n int64
		err := row.Scan(&n)
		if err == nil {
			c.verdicts[advances[n-1].place].Err = nil
		}
		return err
	}
}
