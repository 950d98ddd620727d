package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/queuetest"
	"singularity/centralcloud/sqlite"
)

// opened is a store that knows where it is.
type opened struct {
	*sqlite.Store
	dir string
}

func open(t testing.TB, dir string) opened {
	t.Helper()
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return opened{store, dir}
}

// raw is another connection to the database of queues.
func raw(t testing.TB, queues centralcloud.Queue) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(queues.(opened).dir, "centralcloud.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestQueuesKeepToTheSuite(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Config{
		Open: func(t testing.TB) centralcloud.Queue { return open(t, t.TempDir()) },
		Reopen: func(t testing.TB, queues centralcloud.Queue) centralcloud.Queue {
			return open(t, queues.(opened).dir)
		},
		Elapse: func(t testing.TB, queues centralcloud.Queue, queue string, d time.Duration) {
			t.Helper()
			_, err := raw(t, queues).ExecContext(t.Context(), `UPDATE queue_messages SET vt = vt - ? WHERE queue = ?`, d.Microseconds(), queue)
			if err != nil {
				t.Fatal(err)
			}
		},
		Archived: archived,
		Transaction: func(t testing.TB, queues centralcloud.Queue, f func(centralcloud.Queue) error) error {
			return transaction(t.Context(), raw(t, queues), f)
		},
	})
}

func archived(t testing.TB, queues centralcloud.Queue, queue string) []int64 {
	t.Helper()
	rows, err := raw(t, queues).QueryContext(t.Context(), `SELECT msg_id FROM queue_archive WHERE queue = ? ORDER BY msg_id`, queue)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func transaction(ctx context.Context, db *sql.DB, f func(centralcloud.Queue) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(sqlite.In(tx)); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
