package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"singularity/centralcloud"
)

// Send implements [centralcloud.Sender].
func (q Queue) Send(ctx context.Context, queue string, message centralcloud.Draft) (id int64, err error) {
	if err = message.Check(); err == nil {
		err = q.on(ctx, queue, func(tx *sql.Tx) error {
			id, err = send(ctx, tx, queue, message)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("send to queue %s: %w", queue, err)
	}
	return id, nil
}

// SendBatch implements [centralcloud.Sender].
func (q Queue) SendBatch(ctx context.Context, queue string, messages []centralcloud.Draft) ([]int64, error) {
	ids, err := q.sendBatch(ctx, queue, messages)
	if err != nil {
		return nil, fmt.Errorf("send %d messages to queue %s: %w", len(messages), queue, err)
	}
	return ids, nil
}

func (q Queue) sendBatch(ctx context.Context, queue string, messages []centralcloud.Draft) ([]int64, error) {
	if err := centralcloud.CheckQueueName(queue); err != nil {
		return nil, err
	}
	for i, message := range messages {
		if err := message.Check(); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
	}
	if len(messages) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(messages))
	err := q.on(ctx, queue, func(tx *sql.Tx) (err error) {
		for i, message := range messages {
			if ids[i], err = send(ctx, tx, queue, message); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, err
}

const (
	nextID        = `UPDATE queues SET last_id = last_id + 1 WHERE name = ? RETURNING last_id`
	insertMessage = `
INSERT INTO queue_messages (queue, msg_id, enqueued_at, vt, message, headers)
VALUES (?1, ?2, ?3, ?3, ?4, ?5)`
)

func send(ctx context.Context, tx *sql.Tx, queue string, message centralcloud.Draft) (id int64, err error) {
	if err := tx.QueryRowContext(ctx, nextID, queue).Scan(&id); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, insertMessage, queue, id, now(), text(message.Body), text(message.Headers))
	return id, err
}

// text is a document as a parameter, null for none.
func text(document json.RawMessage) any {
	if document == nil {
		return nil
	}
	return string(document)
}
