package pgmq

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"singularity/centralcloud"
)

// querier is a pool, or a transaction.
type querier interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// Queue is the queues of a database. It calls no function, and asks for no
// column, that the extension has only since after 1.6.
type Queue struct{ db querier }

var _ centralcloud.Queue = Queue{}

// In returns the same queues as a transaction sees them: what is sent, read
// and deleted by it commits with everything else in the transaction.
func In(tx pgx.Tx) Queue { return Queue{tx} }

const createQueue = `SELECT pgmq.create($1)`

// CreateQueue implements [centralcloud.Queue].
func (q Queue) CreateQueue(ctx context.Context, queue string) error {
	err := centralcloud.CheckQueueName(queue)
	if err == nil {
		_, err = q.db.Exec(ctx, createQueue, queue)
	}
	if err != nil {
		return fmt.Errorf("create queue %s: %w", queue, translate(err))
	}
	return nil
}

const dropQueue = `SELECT pgmq.drop_queue($1)`

// DropQueue implements [centralcloud.Queue].
func (q Queue) DropQueue(ctx context.Context, queue string) (dropped bool, err error) {
	if err = centralcloud.CheckQueueName(queue); err == nil {
		err = q.db.QueryRow(ctx, dropQueue, queue).Scan(&dropped)
	}
	if err != nil {
		return false, fmt.Errorf("drop queue %s: %w", queue, translate(err))
	}
	return dropped, nil
}

const purgeQueue = `SELECT pgmq.purge_queue($1)`

// PurgeQueue implements [centralcloud.Queue].
func (q Queue) PurgeQueue(ctx context.Context, queue string) (purged int64, err error) {
	if err = centralcloud.CheckQueueName(queue); err == nil {
		err = q.db.QueryRow(ctx, purgeQueue, queue).Scan(&purged)
	}
	if err != nil {
		return 0, fmt.Errorf("purge queue %s: %w", queue, translate(err))
	}
	return purged, nil
}

const listQueues = `
SELECT queue_name
FROM pgmq.list_queues()
ORDER BY queue_name COLLATE "C"`

// Queues implements [centralcloud.Queue].
func (q Queue) Queues(ctx context.Context) ([]string, error) {
	rows, _ := q.db.Query(ctx, listQueues)
	queues, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", translate(err))
	}
	return queues, nil
}

const queueMetrics = `
SELECT queue_length, queue_visible_length, total_messages, coalesce(newest_msg_age_sec, 0), coalesce(oldest_msg_age_sec, 0)
FROM pgmq.metrics($1)`

// QueueMetrics implements [centralcloud.Queue].
func (q Queue) QueueMetrics(ctx context.Context, queue string) (centralcloud.QueueMetrics, error) {
	var metrics centralcloud.QueueMetrics
	var newest, oldest int64
	err := centralcloud.CheckQueueName(queue)
	if err == nil {
		err = q.db.QueryRow(ctx, queueMetrics, queue).Scan(&metrics.Length, &metrics.Visible, &metrics.Total, &newest, &oldest)
	}
	if err != nil {
		return metrics, fmt.Errorf("count the messages of queue %s: %w", queue, translate(err))
	}
	metrics.Newest, metrics.Oldest = time.Duration(newest)*time.Second, time.Duration(oldest)*time.Second
	return metrics, nil
}
