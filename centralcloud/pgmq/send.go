package pgmq

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
)

const sendMessage = `
SELECT id
FROM pgmq.send($1, $2::jsonb, $3::jsonb) AS id`

// Send implements [centralcloud.Sender].
func (q Queue) Send(ctx context.Context, queue string, message centralcloud.Draft) (int64, error) {
	err := centralcloud.CheckQueueName(queue)
	if err == nil {
		err = message.Check()
	}
	var id int64
	if err == nil {
		err = q.db.QueryRow(ctx, sendMessage, queue, text(message.Body), text(message.Headers)).Scan(&id)
	}
	if err != nil {
		return 0, fmt.Errorf("send to queue %s: %w", queue, translate(err))
	}
	return id, nil
}

const sendMessages = `
SELECT id
FROM pgmq.send_batch($1, $2::jsonb[], $3::jsonb[]) AS id
ORDER BY id`

// SendBatch implements [centralcloud.Sender].
func (q Queue) SendBatch(ctx context.Context, queue string, messages []centralcloud.Draft) ([]int64, error) {
	ids, err := q.sendBatch(ctx, queue, messages)
	if err != nil {
		return nil, fmt.Errorf("send %d messages to queue %s: %w", len(messages), queue, translate(err))
	}
	return ids, nil
}

func (q Queue) sendBatch(ctx context.Context, queue string, messages []centralcloud.Draft) ([]int64, error) {
	if err := centralcloud.CheckQueueName(queue); err != nil {
		return nil, err
	}
	bodies, headers := make([]*string, len(messages)), make([]*string, len(messages))
	for i, message := range messages {
		if err := message.Check(); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		bodies[i], headers[i] = text(message.Body), text(message.Headers)
	}
	if len(messages) == 0 {
		return nil, nil
	}
	rows, _ := q.db.Query(ctx, sendMessages, queue, bodies, headers)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// text is a document as a parameter, null for none.
func text(document json.RawMessage) *string {
	if document == nil {
		return nil
	}
	return new(string(document))
}
