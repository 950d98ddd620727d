package pgmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud/hub"
)

var _ hub.Store = (*Store)(nil)

// Those who wait for the lead ask all the time, and write nothing: a conflict alone
// would lock the row.
const takeLead = `
INSERT INTO centralcloud.leader AS l (epoch, holder, until)
SELECT 1, $1::text, clock_timestamp() + $2::interval
WHERE NOT EXISTS (SELECT FROM centralcloud.leader AS other WHERE other.holder <> $1 AND other.until >= clock_timestamp())
ON CONFLICT (sole) DO UPDATE
SET epoch = l.epoch + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END, holder = excluded.holder, until = excluded.until
WHERE l.holder = excluded.holder OR l.until < clock_timestamp()
RETURNING epoch, clock_timestamp()`

// Lead implements [hub.Store].
func (s *Store) Lead(ctx context.Context, holder string, term time.Duration) (hub.Lead, error) {
	var lead hub.Lead
	err := s.pool.QueryRow(ctx, takeLead, holder, term).Scan(&lead.Epoch, &lead.At)
	if errors.Is(err, pgx.ErrNoRows) {
		err = hub.ErrNotLeading
	}
	if err != nil {
		return hub.Lead{}, fmt.Errorf("lead the hubs: %w", translate(err))
	}
	lead.At = lead.At.UTC()
	return lead, nil
}

const resign = `UPDATE centralcloud.leader SET until = '-infinity' WHERE epoch = $1`

// Resign implements [hub.Store].
func (s *Store) Resign(ctx context.Context, lead hub.Lead) error {
	return s.leading(ctx, "resign", lead, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, resign, lead.Epoch)
		return err
	})
}

const fence = `SELECT epoch = $1 FROM centralcloud.leader FOR SHARE`

// leading calls f in a transaction that commits before another lead begins.
func (s *Store) leading(ctx context.Context, what string, lead hub.Lead, f func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var leads bool
		if err := tx.QueryRow(ctx, fence, lead.Epoch).Scan(&leads); err != nil {
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
