package sqlite

import (
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

// The fence is in the statements that write. They change no column of an index,
// which leaves two pages to write, of the run and of its history; only after a
// crash must crash_count change.
const advanceRunning = `
UPDATE workflow_runs
SET entry = last_insert_rowid(), seq = seq + 1, step = ?, turn = ?, attempt = ?, error = ?, reason = ?, updated_at = ?
WHERE id = ? AND owner = ? AND epoch = ? AND seq = ? AND state = 'running' AND crash_count = 0`

const advanceAfterCrash = `
UPDATE workflow_runs
SET seq = seq + 1, step = ?, turn = ?, attempt = ?, error = ?, reason = ?, updated_at = ?, crash_count = 0,
	entry = last_insert_rowid()
WHERE id = ? AND owner = ? AND epoch = ? AND seq = ? AND state = 'running'`

const endRun = `
UPDATE workflow_runs
SET state = ?, finished_at = ?, entry = iif(?, last_insert_rowid(), entry), crash_count = iif(?, 0, crash_count),
	seq = seq + 1, step = ?, turn = ?, attempt = ?, error = ?, reason = ?, updated_at = ?
WHERE id = ? AND owner = ? AND epoch = ? AND seq = ? AND state = 'running'`

// nextDue is when a run is due next: after its backoff, but by its deadline.
const nextDue = `coalesce(min(?, deadline), ?, due_at)`

// A run that is handed over keeps its place in the queue; one that waits for
// something else than its turn has none.
const releaseRun = `
UPDATE workflow_runs
SET state = ?, due_at = ` + nextDue + `, sort_key = iif(?, ` + nextDue + ` + priority * 60000000, NULL),
	entry = iif(?, last_insert_rowid(), entry), crash_count = iif(?, 0, crash_count), epoch = epoch + 1, owner = NULL, claim_id = NULL,
	released_by = owner, released_epoch = epoch, released_seq = seq + 1,
	seq = seq + 1, step = ?, turn = ?, attempt = ?, error = ?, reason = ?, updated_at = ?
WHERE id = ? AND owner = ? AND epoch = ? AND seq = ? AND state = 'running'`

func (t *tx) advance(w persistence.Advance) (persistence.Verdict, error) {
	landed, err := t.enter(w)
	if err == nil && landed {
		landed, err = t.move(w)
	}
	switch {
	case err != nil:
		return persistence.Verdict{}, err
	case !landed:
		return t.landedBefore(w)
	}
	if w.Entry != nil {
		if err := t.attach(w); err != nil {
			return persistence.Verdict{}, err
		}
	}
	if w.State.Terminal() && w.Summary != nil {
		err = t.summarize(w)
	}
	return persistence.Verdict{}, err
}

// move writes the run's row, which is to lead to the entry that was added just
// now, and reports whether the fence let it.
func (t *tx) move(w persistence.Advance) (bool, error) {
	var changed int64
	var err error
	position := []any{
		w.Step, w.Turn, w.Attempt, text(w.Error), text(w.Reason), t.at,
		w.Run.String(), string(w.Boot), w.Epoch, w.Seq,
	}
	switch w.State {
	case workflow.Running:
		changed, err = t.exec(advanceRunning, position...)
		if err == nil && changed == 0 {
			changed, err = t.exec(advanceAfterCrash, position...)
		}
	case workflow.Completed, workflow.Failed, workflow.Cancelled:
		changed, err = t.exec(endRun, append([]any{string(w.State), t.at, w.Entry != nil, w.Entry != nil}, position...)...)
	case workflow.Available, workflow.Retryable, workflow.Waiting:
		var due any
		if w.State == workflow.Retryable {
			due = t.at + w.Delay.Microseconds()
		}
		changed, err = t.exec(releaseRun, append([]any{string(w.State), due, due, w.State != workflow.Waiting, due, due, w.Entry != nil, w.Entry != nil}, position...)...)
	default:
		return false, fmt.Errorf("%w: an owner cannot make its run %q", persistence.ErrBadWrite, w.State)
	}
	return changed == 1, err
}

// The history keeps who made each entry. What has none is the run's end, while
// it stands, or its last release.
const landedEntry = `
WITH RECURSIVE history AS (
	SELECT newest.previous, newest.seq, newest.owner, newest.epoch
	FROM workflow_runs AS run JOIN step_checkpoints AS newest USING (entry)
	WHERE run.id = ?1
	UNION ALL
	SELECT earlier.previous, earlier.seq, earlier.owner, earlier.epoch
	FROM history JOIN step_checkpoints AS earlier ON earlier.entry = history.previous
	WHERE history.seq > ?2
)
SELECT 1
FROM history
WHERE seq = ?2 AND owner = ?3 AND epoch = ?4`

const landedBare = `
SELECT 1
FROM workflow_runs
WHERE id = ? AND (
	seq = ? AND owner = ? AND epoch = ? AND state = ?
	OR released_seq = ? AND released_by = ? AND released_epoch = ?
)`

// landedBefore is the verdict on a write that the fence refused: it may be
// refused because it landed before.
func (t *tx) landedBefore(w persistence.Advance) (persistence.Verdict, error) {
	verdict := refused(persistence.ErrFenced)
	recognise := func(scanner) error {
		verdict.Err = nil
		return nil
	}
	id, seq, boot := w.Run.String(), w.Seq+1, string(w.Boot)
	var err error
	if w.Entry != nil {
		err = t.query(recognise, landedEntry, id, seq, boot, w.Epoch)
	} else {
		err = t.query(recognise, landedBare, id, seq, boot, w.Epoch, string(w.State), seq, boot, w.Epoch)
	}
	return verdict, err
}

const insertCheckpoint = `
INSERT INTO step_checkpoints (
	previous, run_id, seq, epoch, owner, step, turn, attempt, outcome, state, output, summary, error, started_at, finished_at
)
SELECT entry, id, seq + 1, epoch, owner, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
FROM workflow_runs
WHERE id = ? AND owner = ? AND epoch = ? AND seq = ? AND state = 'running'`

// enter adds the entry to the run's history, if there is one, and reports
// whether the fence let it.
func (t *tx) enter(w persistence.Advance) (bool, error) {
	entry := w.Entry
	if entry == nil {
		return true, nil
	}
	summary, err := persistence.EncodeSummary(entry.Summary)
	if err != nil {
		return false, err
	}
	added, err := t.exec(insertCheckpoint,
		entry.Step, entry.Turn, entry.Attempt, string(entry.Outcome),
		document(entry.State), document(entry.Output), document(summary), text(entry.Error),
		entry.StartedAt.UnixMicro(), entry.FinishedAt.UnixMicro(),
		w.Run.String(), string(w.Boot), w.Epoch, w.Seq)
	return added == 1, err
}

const insertRecord = `
INSERT INTO step_records (run_id, seq, number, kind, doc, owner, recorded_at, stored_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)`

// attach adds what comes with the entry.
func (t *tx) attach(w persistence.Advance) error {
	entry, id, seq, boot := w.Entry, w.Run.String(), w.Seq+1, string(w.Boot)
	for i, fact := range entry.Facts {
		if _, err := t.exec(insertRecord, id, seq, i, fact.Kind, string(fact.Doc), boot, fact.At.UnixMicro(), t.at); err != nil {
			return err
		}
	}
	for _, message := range entry.Messages {
		if err := t.deliver(id, message); err != nil {
			return err
		}
	}
	return nil
}
