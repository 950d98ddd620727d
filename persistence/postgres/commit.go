package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// commit is a batch on its way: its writes by their kind, and what becomes of
// them.
type commit struct {
	inserts     []placed[persistence.Insert]
	advances    []placed[persistence.Advance]
	reactivates []placed[persistence.Reactivate]
	cancels     []placed[persistence.Cancel]
	retries     []placed[persistence.Retry]
	claims      []placed[persistence.Claim]
	limited     *persistence.Claim // that is all there is
	posts       []placed[persistence.Post]
	finished    []placed[persistence.Acknowledge]

	verdicts []persistence.Verdict
	again    bool // it has collided
	queries  []query
	large    []*arrays // whose parameters are in queries
}

// placed is a write and its place in the batch.
type placed[W persistence.Write] struct {
	place int
	write W
}

// Commit implements [persistence.Committer]. Once it is on its way, a batch is
// seen through even if ctx ends: it takes as long as its locks and statements
// may, and its outcome is known.
func (s *Store) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	if err := ctx.Err(); err != nil || len(batch) == 0 {
		return nil, err
	}
	c, err := sortOut(batch)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		err := s.commit(ctx, c)
		if err == nil {
			return c.verdicts, nil
		}
		if unsent(err) {
			s.writers.Reset() // the other connections broke with this one, most likely
		}
		if !collided(err) && !unsent(err) || try == mostTries {
			return nil, notCommitted(err)
		}
		c.again = c.again || collided(err)
		select {
		case <-time.After(rand.N(time.Duration(try) * 10 * time.Millisecond)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// mostTries is how often a batch is sent that collides with others, or that a
// broken connection does not take.
const mostTries = 5

// sortOut takes a batch apart.
func sortOut(batch []persistence.Write) (*commit, error) {
	if err := persistence.CheckBatch(batch); err != nil {
		return nil, err
	}
	c := &commit{verdicts: make([]persistence.Verdict, len(batch))}
	for i, write := range batch {
		switch w := write.(type) {
		case persistence.Insert:
			c.inserts = append(c.inserts, placed[persistence.Insert]{i, w})
		case persistence.Advance:
			c.advances = append(c.advances, placed[persistence.Advance]{i, w})
		case persistence.Claim:
			if w.Limited {
				c.limited = &w
				continue
			}
			c.claims = append(c.claims, placed[persistence.Claim]{i, w})
		case persistence.Reactivate:
			c.reactivates = append(c.reactivates, placed[persistence.Reactivate]{i, w})
		case persistence.Cancel:
			c.cancels = append(c.cancels, placed[persistence.Cancel]{i, w})
		case persistence.Retry:
			c.retries = append(c.retries, placed[persistence.Retry]{i, w})
		case persistence.Post:
			c.posts = append(c.posts, placed[persistence.Post]{i, w})
		case persistence.Acknowledge:
			c.finished = append(c.finished, placed[persistence.Acknowledge]{i, w})
		}
	}
	return c, nil
}

// commit sends the batch in one transaction, and afterwards looks up why the
// writes that did not land did not.
func (s *Store) commit(ctx context.Context, c *commit) error {
	clear(c.verdicts)
	if c.limited != nil {
		verdict, err := s.claimLimited(ctx, *c.limited)
		c.verdicts[0] = verdict
		return err
	}
	c.queries = c.queries[:0]
	// Inserts are first: one may have to wait for the owner of its key, and no
	// checkpoint of others should wait with it.
	for _, queue := range []func() error{
		c.queueInserts, c.queueInboxes, c.queueLocks, c.queueAdvances, c.queueReactivates, c.queueCancels, c.queueRetries,
		func() error { return s.queueClaims(c) }, c.queuePosts, c.queueFinished,
	} {
		if err := queue(); err != nil {
			return settled{err}
		}
	}
	err := s.run(ctx, c.queries)
	for _, list := range c.large {
		list.free()
	}
	c.large, c.queries = c.large[:0], c.queries[:0]
	if err != nil {
		return err
	}
	s.moveFloors(c)
	for _, queue := range []func() error{c.queueExisting, c.queueLanded} {
		if err := queue(); err != nil {
			return err
		}
	}
	if len(c.queries) == 0 {
		return nil
	}
	if err := s.run(ctx, c.queries); err != nil {
		return unknown(err) // the batch landed: whoever commits it again will hear more
	}
	return nil
}

// queue adds a statement to the transaction. row is called for each row of its
// result.
func (c *commit) queue(s *statement, params [][]byte, row func(scanner) error) {
	c.queries = append(c.queries, query{s, params, row})
}

// queueArrays adds a statement for many rows, with more parameters behind
// theirs.
func (c *commit) queueArrays(s *statement, list *arrays, more [][]byte, row func(scanner) error) {
	c.large = append(c.large, list)
	c.queue(s, append(list.params(), more...), row)
}

// queueScalars adds a statement for one row.
func (c *commit) queueScalars(s *statement, list *arrays, row func(scanner) error) {
	c.large = append(c.large, list)
	c.queue(s, list.scalars(), row)
}

var lockRuns = &statement{"lock_runs", `
SELECT FROM singularity.workflow_runs
WHERE id = ANY ($1::uuid[])
ORDER BY id
FOR NO KEY UPDATE`}

// queueLocks locks the runs that the batch changes, in the order of their ids,
// if more than one statement changes some: two batches with the same runs must
// not wait for each other.
func (c *commit) queueLocks() error {
	var runs []workflow.RunID
	kinds := 0
	for _, some := range [][]workflow.RunID{subjects(c.advances), subjects(c.reactivates), subjects(c.cancels), subjects(c.retries)} {
		runs = append(runs, some...)
		kinds += min(len(some), 1)
	}
	if kinds > 1 {
		c.queue(lockRuns, uuids(runs), nil)
	}
	return nil
}

func subjects[W persistence.Write](writes []placed[W]) []workflow.RunID {
	ids := make([]workflow.RunID, len(writes))
	for i, w := range writes {
		ids[i] = w.write.Subject()
	}
	return ids
}

// refused is the verdict on a write that does not land.
func refused(err error) persistence.Verdict { return persistence.Verdict{Err: err} }
