package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"singularity/centralcloud/hub"
)

var _ hub.Store = (*Store)(nil)

const takeLead = `
INSERT INTO leader AS l (sole, epoch, holder, until, prolonged_at)
VALUES (1, 1, ?1, ?2, ?3)
ON CONFLICT (sole) DO UPDATE
SET epoch = l.epoch + (l.holder <> excluded.holder), holder = excluded.holder, until = excluded.until,
    prolonged_at = excluded.prolonged_at
WHERE l.holder = excluded.holder OR l.until < ?3
RETURNING epoch`

// Lead implements [hub.Store].
func (s *Store) Lead(ctx context.Context, holder string, term time.Duration) (hub.Lead, error) {
	at := now()
	lead := hub.Lead{At: time.UnixMicro(at).UTC()}
	err := s.transact(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, takeLead, holder, at+term.Microseconds(), at).Scan(&lead.Epoch)
		if errors.Is(err, sql.ErrNoRows) {
			return hub.ErrNotLeading
		}
		return err
	})
	if err != nil {
		return hub.Lead{}, fmt.Errorf("lead the hubs: %w", err)
	}
	return lead, nil
}

const resign = `UPDATE leader SET until = 0 WHERE epoch = ?`

// Resign implements [hub.Store].
func (s *Store) Resign(ctx context.Context, lead hub.Lead) error {
	return s.leading(ctx, "resign", lead, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, resign, lead.Epoch)
		return err
	})
}

const selectLeader = `
SELECT coalesce(max(epoch), 0), coalesce(max(holder), ''), coalesce(max(prolonged_at), 0), coalesce(max(until), 0)
FROM leader`

// Leader implements [hub.Reader].
func (s *Store) Leader(ctx context.Context) (hub.Leader, error) {
	l := hub.Leader{Now: time.Now().UTC()}
	var prolonged, until int64
	err := s.transact(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, selectLeader).Scan(&l.Epoch, &l.Holder, &prolonged, &until)
	})
	if err != nil {
		return hub.Leader{}, fmt.Errorf("read who leads: %w", err)
	}
	l.ProlongedAt, l.Until = noted(prolonged), noted(until)
	return l, nil
}

// noted is a time that was stored; zero for none.
func noted(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// Await implements [hub.Store]. Nobody tells of what other processes write.
func (s *Store) Await(context.Context) error { return errors.ErrUnsupported }

const fence = `SELECT epoch = ? FROM leader`

// leading calls f in a transaction that commits before another lead begins.
func (s *Store) leading(ctx context.Context, what string, lead hub.Lead, f func(*sql.Tx) error) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		var leads bool
		if err := tx.QueryRowContext(ctx, fence, lead.Epoch).Scan(&leads); err != nil {
			return err
		}
		if !leads {
			return hub.ErrNotLeading
		}
		return f(tx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}
