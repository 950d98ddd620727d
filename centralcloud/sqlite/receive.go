package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
)

const readMessages = `
UPDATE queue_messages
SET read_ct = read_ct + 1, last_read_at = ?1, vt = ?2
WHERE queue = ?3 AND msg_id IN (
    SELECT msg_id
    FROM queue_messages
    WHERE queue = ?3 AND vt <= ?1
    ORDER BY msg_id
    LIMIT ?4)
RETURNING msg_id, read_ct, enqueued_at, vt, message, headers`

// Read implements [centralcloud.Receiver].
func (q Queue) Read(ctx context.Context, queue string, lease time.Duration, limit int) (messages []centralcloud.Message, err error) {
	err = q.on(ctx, queue, func(tx *sql.Tx) error {
		at := now()
		return query(ctx, tx, func(rows *sql.Rows) error {
			message, err := scanMessage(rows)
			messages = append(messages, message)
			return err
		}, readMessages, at, after(at, lease), queue, max(limit, 0))
	})
	if err != nil {
		return nil, fmt.Errorf("read queue %s: %w", queue, err)
	}
	slices.SortFunc(messages, func(a, b centralcloud.Message) int { return cmp.Compare(a.ID, b.ID) })
	return messages, nil
}

func scanMessage(row *sql.Rows) (centralcloud.Message, error) {
	var m centralcloud.Message
	var enqueued, visible int64
	var body, headers sql.Null[string]
	err := row.Scan(&m.ID, &m.Reads, &enqueued, &visible, &body, &headers)
	m.EnqueuedAt, m.VisibleAt = time.UnixMicro(enqueued).UTC(), time.UnixMicro(visible).UTC()
	m.Body, m.Headers = document(body), document(headers)
	return m, err
}

func document(text sql.Null[string]) json.RawMessage {
	if !text.Valid {
		return nil
	}
	return json.RawMessage(text.V)
}

// after is the time that a lease ends which begins at one.
func after(at int64, lease time.Duration) int64 {
	return at + int64(centralcloud.LeaseSeconds(lease))*time.Second.Microseconds()
}

const setVT = `UPDATE queue_messages SET vt = ?3 WHERE queue = ?1 AND msg_id = ?2`

// SetVT implements [centralcloud.Receiver].
func (q Queue) SetVT(ctx context.Context, queue string, id int64, lease time.Duration) (found bool, err error) {
	err = q.on(ctx, queue, func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, setVT, queue, id, after(now(), lease)))
		found = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("set the lease of message %d of queue %s: %w", id, queue, err)
	}
	return found, nil
}

// Delete implements [centralcloud.Receiver].
func (q Queue) Delete(ctx context.Context, queue string, ids ...int64) ([]int64, error) {
	deleted, err := q.take(ctx, queue, ids, remove)
	if err != nil {
		return nil, fmt.Errorf("delete %d messages of queue %s: %w", len(ids), queue, err)
	}
	return deleted, nil
}

const deleteMessage = `DELETE FROM queue_messages WHERE queue = ? AND msg_id = ?`

func remove(ctx context.Context, tx *sql.Tx, queue string, id int64) (bool, error) {
	n, err := changed(tx.ExecContext(ctx, deleteMessage, queue, id))
	return n > 0, err
}

// Archive implements [centralcloud.Receiver].
func (q Queue) Archive(ctx context.Context, queue string, ids ...int64) ([]int64, error) {
	archived, err := q.take(ctx, queue, ids, archive)
	if err != nil {
		return nil, fmt.Errorf("archive %d messages of queue %s: %w", len(ids), queue, err)
	}
	return archived, nil
}

const archiveMessage = `
INSERT INTO queue_archive (queue, msg_id, read_ct, enqueued_at, last_read_at, archived_at, vt, message, headers)
SELECT queue, msg_id, read_ct, enqueued_at, last_read_at, ?3, vt, message, headers
FROM queue_messages
WHERE queue = ?1 AND msg_id = ?2`

func archive(ctx context.Context, tx *sql.Tx, queue string, id int64) (bool, error) {
	if _, err := tx.ExecContext(ctx, archiveMessage, queue, id, now()); err != nil {
		return false, err
	}
	return remove(ctx, tx, queue, id)
}

// take calls out for each message and returns the ids of those that were there.
func (q Queue) take(ctx context.Context, queue string, ids []int64, out func(context.Context, *sql.Tx, string, int64) (bool, error)) ([]int64, error) {
	var taken []int64
	err := q.on(ctx, queue, func(tx *sql.Tx) error {
		for _, id := range slices.Sorted(slices.Values(ids)) {
			there, err := out(ctx, tx, queue, id)
			if err != nil {
				return err
			}
			if there {
				taken = append(taken, id)
			}
		}
		return nil
	})
	return taken, err
}

// Move implements [centralcloud.Receiver].
func (q Queue) Move(ctx context.Context, queue string, message centralcloud.Message, to string, headers json.RawMessage) (moved bool, err error) {
	err = errors.Join(centralcloud.CheckQueueName(queue), centralcloud.CheckQueueName(to))
	if err == nil {
		err = q.on(ctx, queue, func(tx *sql.Tx) error {
			if moved, err = remove(ctx, tx, queue, message.ID); err != nil || !moved {
				return err
			}
			if err := mustExist(ctx, tx, to); err != nil {
				return err
			}
			_, err := send(ctx, tx, to, centralcloud.Draft{Body: message.Body, Headers: headers})
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("move message %d of queue %s to queue %s: %w", message.ID, queue, to, err)
	}
	return moved, nil
}
