package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"singularity/persistence"
)

const listTakeovers = `
SELECT boot, instance_id, judge, detected_by, ground, suspected_at, declared_at, released, quarantined, claimed_at, resumed_at
FROM takeovers
ORDER BY declared_at DESC
LIMIT ?`

// Takeovers implements [persistence.Membership].
func (s *Store) Takeovers(ctx context.Context, limit int) ([]persistence.Takeover, error) {
	var list []persistence.Takeover
	err := s.readers.query(ctx, func(row scanner) error {
		var t persistence.Takeover
		var suspected, declared int64
		var claimed, resumed sql.NullInt64
		err := row.Scan(&t.Boot, &t.Instance, &t.Judge, &t.DetectedBy, &t.Ground, &suspected, &declared,
			&t.Released, &t.Quarantined, &claimed, &resumed)
		t.SuspectedAt, t.DeclaredAt, t.ClaimedAt, t.ResumedAt = moment(suspected), moment(declared), moments(claimed), moments(resumed)
		list = append(list, t)
		return err
	}, listTakeovers, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("list takeovers: %w", err)
	}
	return list, nil
}
