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
INSERT INTO leader AS l (sole, epoch, holder, until)
VALUES (1, 1, ?1, ?2)
ON CONFLICT (sole) DO UPDATE
SET epoch = l.epoch + (l.holder <> excluded.holder), holder = excluded.holder, until = excluded.until
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
