package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"singularity/centralcloud"
)

const upsertRepeats = `
INSERT INTO repeats AS r (epoch, instance_id, boot_id, workflow, step, provider, model, revision, asked)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (epoch, instance_id, boot_id, workflow, step, provider, model) DO UPDATE
SET revision = excluded.revision, asked = excluded.asked
WHERE r.revision < excluded.revision`

func keepRepeats(ctx context.Context, tx *sql.Tx, repeats []centralcloud.Repeats) error {
	for i := range repeats {
		r := &repeats[i]
		asked, err := json.Marshal(r.Asked)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, upsertRepeats, r.Epoch, r.Instance, r.Boot, r.Workflow, r.Step, r.Provider, r.Model, r.Revision, string(asked))
		if err != nil {
			return err
		}
	}
	return nil
}

const selectRepeats = `
SELECT epoch, instance_id, boot_id, workflow, step, provider, model, revision, asked
FROM repeats
WHERE epoch >= ? AND epoch < ?`

// RepeatsBetween implements [hub.Store].
func (s *Store) RepeatsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Repeats) error) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var r centralcloud.Repeats
			var asked string
			err := rows.Scan(&r.Epoch, &r.Instance, &r.Boot, &r.Workflow, &r.Step, &r.Provider, &r.Model, &r.Revision, &asked)
			if err == nil {
				err = json.Unmarshal([]byte(asked), &r.Asked)
			}
			if err != nil {
				return err
			}
			return each(r)
		}, selectRepeats, from.Unix(), until.Unix())
	})
	if err != nil {
		return fmt.Errorf("read repeats: %w", err)
	}
	return nil
}
