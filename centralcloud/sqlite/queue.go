package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"singularity/centralcloud"
)

// Queue is the queues of a database. Its clock is this process's.
type Queue struct{ transact }

var _ centralcloud.Queue = Queue{}

// In returns the same queues as a transaction sees them: what is sent, read
// and deleted by it commits with everything else in the transaction.
func In(tx *sql.Tx) Queue {
	return Queue{func(_ context.Context, f func(*sql.Tx) error) error { return f(tx) }}
}

// on calls f for a queue, which must be there, in a transaction.
func (q Queue) on(ctx context.Context, queue string, f func(*sql.Tx) error) error {
	if err := centralcloud.CheckQueueName(queue); err != nil {
		return err
	}
	return translate(q.transact(ctx, func(tx *sql.Tx) error {
		if err := mustExist(ctx, tx, queue); err != nil {
			return err
		}
		return f(tx)
	}))
}

const queueExists = `SELECT count(*) > 0 FROM queues WHERE name = ?`

func mustExist(ctx context.Context, tx *sql.Tx, queue string) error {
	var exists bool
	if err := tx.QueryRowContext(ctx, queueExists, queue).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("%w: %s", centralcloud.ErrNoQueue, queue)
	}
	return nil
}

const createQueue = `
INSERT INTO queues (name, created_at)
VALUES (?, ?)
ON CONFLICT DO NOTHING`

// CreateQueue implements [centralcloud.Queue].
func (q Queue) CreateQueue(ctx context.Context, queue string) error {
	err := centralcloud.CheckQueueName(queue)
	if err == nil {
		err = q.transact(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, createQueue, queue, now())
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("create queue %s: %w", queue, err)
	}
	return nil
}

const dropQueue = `DELETE FROM queues WHERE name = ?`

// DropQueue implements [centralcloud.Queue].
func (q Queue) DropQueue(ctx context.Context, queue string) (dropped bool, err error) {
	if err = centralcloud.CheckQueueName(queue); err == nil {
		err = q.transact(ctx, func(tx *sql.Tx) error {
			n, err := changed(tx.ExecContext(ctx, dropQueue, queue))
			dropped = n > 0
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("drop queue %s: %w", queue, err)
	}
	return dropped, nil
}

const purgeQueue = `DELETE FROM queue_messages WHERE queue = ?`

// PurgeQueue implements [centralcloud.Queue].
func (q Queue) PurgeQueue(ctx context.Context, queue string) (purged int64, err error) {
	err = q.on(ctx, queue, func(tx *sql.Tx) error {
		purged, err = changed(tx.ExecContext(ctx, purgeQueue, queue))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purge queue %s: %w", queue, err)
	}
	return purged, nil
}

const listQueues = `SELECT name FROM queues ORDER BY name`

// Queues implements [centralcloud.Queue].
func (q Queue) Queues(ctx context.Context) (queues []string, err error) {
	err = q.transact(ctx, func(tx *sql.Tx) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			queues = append(queues, name)
			return err
		}, listQueues)
	})
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	return queues, nil
}

const queueMetrics = `
SELECT count(*), count(*) FILTER (WHERE vt <= ?1), (SELECT last_id FROM queues WHERE name = ?2),
    coalesce(?1 - max(enqueued_at), 0), coalesce(?1 - min(enqueued_at), 0)
FROM queue_messages
WHERE queue = ?2`

// QueueMetrics implements [centralcloud.Queue].
func (q Queue) QueueMetrics(ctx context.Context, queue string) (centralcloud.QueueMetrics, error) {
	var metrics centralcloud.QueueMetrics
	err := q.on(ctx, queue, func(tx *sql.Tx) error {
		var newest, oldest int64
		row := tx.QueryRowContext(ctx, queueMetrics, now(), queue)
		err := row.Scan(&metrics.Length, &metrics.Visible, &metrics.Total, &newest, &oldest)
		metrics.Newest, metrics.Oldest = age(newest), age(oldest)
		return err
	})
	if err != nil {
		return centralcloud.QueueMetrics{}, fmt.Errorf("count the messages of queue %s: %w", queue, err)
	}
	return metrics, nil
}

// now is the time in the precision of the database.
func now() int64 { return time.Now().UnixMicro() }

// age is whole seconds.
func age(micros int64) time.Duration {
	return (time.Duration(micros) * time.Microsecond).Truncate(time.Second)
}

func changed(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// translate turns an error of the driver into one of the contract.
func translate(err error) error {
	if cause, ok := errors.AsType[*sqlite.Error](err); ok && cause.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	return err
}
