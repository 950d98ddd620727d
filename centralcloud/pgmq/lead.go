package pgmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/centralcloud/hub"
)

var _ hub.Store = (*Store)(nil)

// Those who wait for the lead ask all the time, and write nothing: a conflict alone
// would lock the row.
const takeLead = `
INSERT INTO centralcloud.leader AS l (epoch, holder, until, prolonged_at)
SELECT 1, $1::text, clock_timestamp() + $2::interval, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM centralcloud.leader AS other WHERE other.holder <> $1 AND other.until >= clock_timestamp())
ON CONFLICT (sole) DO UPDATE
SET epoch = l.epoch + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END, holder = excluded.holder, until = excluded.until,
    prolonged_at = excluded.prolonged_at
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
		if _, err := tx.Exec(ctx, resign, lead.Epoch); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, announce)
		return err
	})
}

const selectLeader = `
SELECT coalesce(epoch, 0), coalesce(holder, ''), coalesce(prolonged_at, '-infinity'), coalesce(until, '-infinity'), clock_timestamp()
FROM (SELECT) AS nobody
LEFT JOIN centralcloud.leader ON true`

// Leader implements [hub.Reader].
func (s *Store) Leader(ctx context.Context) (hub.Leader, error) {
	var l hub.Leader
	var prolonged, until pgtype.Timestamptz
	err := s.pool.QueryRow(ctx, selectLeader).Scan(&l.Epoch, &l.Holder, &prolonged, &until, &l.Now)
	if err != nil {
		return hub.Leader{}, fmt.Errorf("read who leads: %w", translate(err))
	}
	l.ProlongedAt, l.Until, l.Now = prolonged.Time.UTC(), until.Time.UTC(), l.Now.UTC() // zero for infinity
	return l, nil
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
