package pgmq

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
)

const upsertRepeats = `
INSERT INTO centralcloud.repeats AS r (epoch, instance_id, boot_id, workflow, step, provider, model, revision, asked)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (epoch, instance_id, boot_id, workflow, step, provider, model) DO UPDATE
SET revision = excluded.revision, asked = excluded.asked
WHERE r.revision < excluded.revision`

func keepRepeats(ctx context.Context, tx pgx.Tx, repeats []centralcloud.Repeats) error {
	var batch pgx.Batch
	for i := range repeats {
		r := &repeats[i]
		asked, err := json.Marshal(r.Asked)
		if err != nil {
			return err
		}
		batch.Queue(upsertRepeats, r.Epoch, r.Instance, r.Boot, r.Workflow, r.Step, r.Provider, r.Model, r.Revision, string(asked))
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &batch).Close()
}

const selectRepeats = `
SELECT epoch, instance_id, boot_id, workflow, step, provider, model, revision, asked
FROM centralcloud.repeats
WHERE epoch >= $1 AND epoch < $2`

// RepeatsBetween implements [hub.Store].
func (s *Store) RepeatsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Repeats) error) error {
	var r centralcloud.Repeats
	var asked []byte
	rows, _ := s.pool.Query(ctx, selectRepeats, from.Unix(), until.Unix())
	_, err := pgx.ForEachRow(rows, []any{
		&r.Epoch, &r.Instance, &r.Boot, &r.Workflow, &r.Step, &r.Provider, &r.Model, &r.Revision, &asked,
	}, func() error {
		r.Asked = centralcloud.Asked{}
		if err := json.Unmarshal(asked, &r.Asked); err != nil {
			return err
		}
		return each(r)
	})
	if err != nil {
		return fmt.Errorf("read repeats: %w", translate(err))
	}
	return nil
}
