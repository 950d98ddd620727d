package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// The fence is in the statement that writes, and what the fence lets pass
// carries its checkpoint along. All shapes of an advance are one statement; a
// run that goes on keeps the values of all columns that indexes have.
//
// = ANY (ARRAY[…]) and IS TRUE allow one plan alone, whatever is in the table
// or seems to be: take the rows as they come, look each run up by its id.
// IS NOT DISTINCT FROM keeps the index of owners out of it.
//
// A run that is handed over keeps its place in the queue; one that waits for
// something else than its turn has none.
var advanceRuns = &statement{"advance_runs", `
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
		due_at = ` + nextDue + `,
		sort_key = CASE WHEN w.released AND w.state <> 'waiting' THEN ` + nextDue + ` + run.priority * interval '1 minute' END,
		finished_at = CASE WHEN w.state = 'completed' OR w.state = 'failed' OR w.state = 'cancelled' THEN now() END,
		updated_at = now()
	FROM unnest(
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
	)
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
FROM moved`}

// nextDue is when a run is due next: after its backoff, but by its deadline.
const nextDue = `CASE WHEN w.delay IS NULL THEN run.due_at ELSE least(now() + w.delay, run.deadline) END`

// queueAdvances orders the runs by their ids: the order in which all batches
// lock them.
func (c *commit) queueAdvances() error {
	if len(c.advances) == 0 {
		return nil
	}
	sortByRun(c.advances)
	for _, w := range c.advances {
		c.verdicts[w.place].Err = persistence.ErrFenced
	}
	queue := c.queueMoves
	if len(c.advances) == 1 && completesStep(c.advances[0].write) {
		queue = c.queueStep
	}
	if err := queue(); err != nil {
		return err
	}
	if err := c.queueRecords(); err != nil {
		return err
	}
	if err := c.queueMessages(); err != nil {
		return err
	}
	return c.queueResults()
}

func (c *commit) queueMoves() error {
	list, err := advanceRows(c.advances)
	if err != nil {
		return err
	}
	c.queueArrays(advanceRuns, list, nil, func(row scanner) error {
		var landed []int64
		err := row.Scan(&landed)
		for _, n := range landed {
			c.verdicts[c.advances[n-1].place].Err = nil
		}
		return err
	})
	return nil
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
	summary, err := persistence.EncodeSummary(entry.Summary)
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
