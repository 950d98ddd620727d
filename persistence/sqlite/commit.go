package sqlite

import (
	"context"
	"fmt"

	"singularity/persistence"
)

// Commit implements [persistence.Committer].
func (s *Store) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	if len(batch) == 0 {
		return nil, ctx.Err()
	}
	if err := persistence.CheckBatch(batch); err != nil {
		return nil, err
	}
	verdicts := make([]persistence.Verdict, len(batch))
	err := s.writer.transaction(ctx, func(t *tx) error {
		for i, write := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			verdict, err := t.apply(write)
			if err != nil {
				return fmt.Errorf("%T of run %s: %w", write, write.Subject(), err)
			}
			verdicts[i] = verdict
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// apply carries out one write. The verdict is what the store says to the write;
// an error keeps the whole batch from landing.
func (t *tx) apply(write persistence.Write) (persistence.Verdict, error) {
	switch w := write.(type) {
	case persistence.Insert:
		return t.insert(w)
	case persistence.Claim:
		return t.claim(w)
	case persistence.Advance:
		return t.advance(w)
	case persistence.Reactivate:
		return t.reactivate(w)
	case persistence.Cancel:
		return t.cancel(w)
	case persistence.Retry:
		return t.retry(w)
	case persistence.Post:
		return t.post(w)
	case persistence.Acknowledge:
		return t.acknowledge(w)
	default:
		return persistence.Verdict{}, fmt.Errorf("%w: unknown kind of write", persistence.ErrBadWrite)
	}
}

// refused is the verdict on a write that does not land.
func refused(err error) persistence.Verdict { return persistence.Verdict{Err: err} }
