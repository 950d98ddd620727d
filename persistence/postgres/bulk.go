package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

// InsertAll implements [persistence.Bulk]. It is one statement, and two more for
// the runs that were there before. One call at a time goes on, so that what is
// left of the server and of the readers' connections is for others.
func (s *Store) InsertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if len(inserts) == 0 {
		return nil, nil
	}
	return s.insertPage(ctx, nil, inserts)
}

// insertPage adds runs, and to their batch if there is a page of one.
func (s *Store) insertPage(ctx context.Context, page *persistence.BatchPage, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	c := &commit{verdicts: make([]persistence.Verdict, len(inserts)), inserts: make([]placed[persistence.Insert], len(inserts))}
	for i, insert := range inserts {
		if err := persistence.Check(insert); err != nil {
			return nil, fmt.Errorf("run %s: %w", insert.Run, err)
		}
		insert.Owner = ""
		c.inserts[i] = placed[persistence.Insert]{i, insert}
	}
	select {
	case s.bulk <- struct{}{}:
		defer func() { <-s.bulk }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for try := 1; ; try++ {
		err := s.insertAll(ctx, page, c)
		if err == nil {
			return c.inserted(), nil
		}
		if !collided(err) && !errors.Is(err, errInTheWay) || try == mostTries {
			return nil, err
		}
		c.again = c.again || collided(err)
		select {
		case <-time.After(rand.N(time.Duration(try) * 10 * time.Millisecond)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// insertAll is one try, in a transaction that is rolled back if a run is refused.
func (s *Store) insertAll(ctx context.Context, page *persistence.BatchPage, c *commit) error {
	clear(c.verdicts)
	tx, err := s.readers.Begin(ctx)
	if err != nil {
		return translate(s.afterClose(err))
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	defer func() { _ = tx.Rollback(late) }() // after a commit it does nothing
	var batch persistence.BatchPage
	if page != nil {
		if batch, err = lockBatch(ctx, tx, *page); err != nil {
			return translate(err)
		}
	}
	if err := s.insertWithin(ctx, tx, c); err != nil {
		return translate(err)
	}
	for _, w := range c.inserts {
		if err := c.verdicts[w.place].Err; err != nil {
			return &workflow.StartError{Index: w.place, Err: err}
		}
	}
	if page != nil {
		if err := addToBatch(ctx, tx, *page, batch, persistence.Added(c.inserted())); err != nil {
			return translate(err)
		}
	}
	switch err := tx.Commit(late); {
	case err == nil:
		s.floors.forget() // they come where claims may have been since it began
		return nil
	case codeOf(err) == "" || isFatal(err):
		return unknown(err)
	default:
		return translate(err)
	}
}

func (s *Store) insertWithin(ctx context.Context, tx pgx.Tx, c *commit) error {
	if s.pooled {
		if err := within(ctx, tx, []query{{statement: applySettings}}); err != nil {
			return err
		}
	}
	for _, queue := range []func() error{c.queueInserts, c.queueHolders} {
		c.queries = c.queries[:0]
		if err := queue(); err != nil {
			return err
		}
		err := within(ctx, tx, c.queries)
		for _, list := range c.large {
			list.free()
		}
		c.large = c.large[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// LIMIT keeps these from being joined in any other way than run by run.
var holdersOfIDs = &statement{"holders_of_ids", `
SELECT w.n, found.*
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, n)
CROSS JOIN LATERAL (
	SELECT run.id, run.workflow, run.input_hash
	FROM singularity.workflow_runs AS run
	WHERE run.id = w.id
	LIMIT 1
) AS found`}

var holdersOfKeys = &statement{"holders_of_keys", `
SELECT w.n, found.*
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (workflow, key, n)
CROSS JOIN LATERAL (
	SELECT run.id, run.workflow, run.input_hash
	FROM singularity.workflow_runs AS run
	WHERE run.workflow = w.workflow AND run.key = w.key
		AND run.state <> 'failed' AND run.state <> 'cancelled' AND run.state <> 'quarantined' AND run.unique_key IS NULL
	LIMIT 1
) AS found`}

// queueHolders looks for the runs that were in the way of inserts, without their
// documents.
func (c *commit) queueHolders() error {
	missing, keys := c.missing()
	if len(missing) == 0 {
		return nil
	}
	c.queue(holdersOfKeys, keys.params(), c.found(missing, scanHolder, attachByKey))
	c.queue(holdersOfIDs, uuids(subjects(missing)), c.found(missing, scanHolder, attachByID)) // prevails
	return nil
}

// scanHolder reads a run of which little is known, and more columns.
func scanHolder(row scanner, more ...any) (workflow.Run, error) {
	var run workflow.Run
	err := row.Scan(append([]any{(*[16]byte)(&run.ID), &run.Workflow}, more...)...)
	return run, err
}

// inserted are the verdicts of inserts that all landed.
func (c *commit) inserted() []persistence.Inserted {
	list := make([]persistence.Inserted, len(c.verdicts))
	for _, w := range c.inserts {
		switch verdict := c.verdicts[w.place]; {
		case verdict.Existing != nil:
			list[w.place] = persistence.Inserted{Run: verdict.Existing.ID, Attached: true}
		default:
			list[w.place] = persistence.Inserted{Run: w.write.Run, Wait: verdict.Wait}
		}
	}
	return list
}
