package pgmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
)

const readMessages = `
SELECT msg_id, read_ct, enqueued_at, vt, message, headers
FROM pgmq.read($1, $2::integer, $3::integer)
ORDER BY msg_id`

// Read implements [centralcloud.Receiver].
func (q Queue) Read(ctx context.Context, queue string, lease time.Duration, limit int) ([]centralcloud.Message, error) {
	err := centralcloud.CheckQueueName(queue)
	var messages []centralcloud.Message
	if err == nil {
		rows, _ := q.db.Query(ctx, readMessages, queue, centralcloud.LeaseSeconds(lease), max(limit, 0))
		messages, err = pgx.CollectRows(rows, scanMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("read queue %s: %w", queue, translate(err))
	}
	return messages, nil
}

func scanMessage(row pgx.CollectableRow) (centralcloud.Message, error) {
	var m centralcloud.Message
	err := row.Scan(&m.ID, &m.Reads, &m.EnqueuedAt, &m.VisibleAt, &m.Body, &m.Headers)
	m.EnqueuedAt, m.VisibleAt = m.EnqueuedAt.UTC(), m.VisibleAt.UTC()
	return m, err
}

const setVT = `
SELECT count(*) > 0
FROM pgmq.set_vt($1, $2::bigint, $3::integer)`

// SetVT implements [centralcloud.Receiver].
func (q Queue) SetVT(ctx context.Context, queue string, id int64, after time.Duration) (found bool, err error) {
	if err = centralcloud.CheckQueueName(queue); err == nil {
		err = q.db.QueryRow(ctx, setVT, queue, id, centralcloud.LeaseSeconds(after)).Scan(&found)
	}
	if err != nil {
		return false, fmt.Errorf("set the lease of message %d of queue %s: %w", id, queue, translate(err))
	}
	return found, nil
}

const deleteMessages = `
SELECT id
FROM pgmq.delete($1, $2::bigint[]) AS id
ORDER BY id`

// Delete implements [centralcloud.Receiver].
func (q Queue) Delete(ctx context.Context, queue string, ids ...int64) ([]int64, error) {
	deleted, err := q.take(ctx, deleteMessages, queue, ids)
	if err != nil {
		return nil, fmt.Errorf("delete %d messages of queue %s: %w", len(ids), queue, translate(err))
	}
	return deleted, nil
}

const archiveMessages = `
SELECT id
FROM pgmq.archive($1, $2::bigint[]) AS id
ORDER BY id`

// Archive implements [centralcloud.Receiver].
func (q Queue) Archive(ctx context.Context, queue string, ids ...int64) ([]int64, error) {
	archived, err := q.take(ctx, archiveMessages, queue, ids)
	if err != nil {
		return nil, fmt.Errorf("archive %d messages of queue %s: %w", len(ids), queue, translate(err))
	}
	return archived, nil
}

func (q Queue) take(ctx context.Context, query, queue string, ids []int64) ([]int64, error) {
	if err := centralcloud.CheckQueueName(queue); err != nil {
		return nil, err
	}
	rows, _ := q.db.Query(ctx, query, queue, ids)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

const deleteMessage = `SELECT pgmq.delete($1, $2::bigint)`

// Move implements [centralcloud.Receiver].
func (q Queue) Move(ctx context.Context, queue string, message centralcloud.Message, to string, headers json.RawMessage) (moved bool, err error) {
	err = errors.Join(centralcloud.CheckQueueName(queue), centralcloud.CheckQueueName(to))
	if err == nil {
		err = pgx.BeginFunc(ctx, q.db, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, deleteMessage, queue, message.ID).Scan(&moved); err != nil || !moved {
				return err
			}
			_, err := tx.Exec(ctx, sendMessage, to, text(message.Body), text(headers))
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("move message %d of queue %s to queue %s: %w", message.ID, queue, to, translate(err))
	}
	return moved, nil
}
