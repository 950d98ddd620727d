package pgmq_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/queuetest"
	"singularity/internal/testpostgres"
)

// opened is a store that knows where it is.
type opened struct {
	*pgmq.Store
	url string
}

func open(t testing.TB, url string) opened {
	t.Helper()
	store, err := pgmq.Open(t.Context(), pgmq.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return opened{store, url}
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestQueuesKeepToTheSuite(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, suite(func(t testing.TB) centralcloud.Queue { return open(t, testpostgres.URL(t)) }))
}

// suite is how the suite gets at the queues that open returns.
func suite(fresh func(t testing.TB) centralcloud.Queue) queuetest.Config {
	return queuetest.Config{
		Open: fresh,
		Reopen: func(t testing.TB, queues centralcloud.Queue) centralcloud.Queue {
			return open(t, queues.(opened).url)
		},
		Elapse: func(t testing.TB, queues centralcloud.Queue, queue string, d time.Duration) {
			t.Helper()
			_, err := connect(t, queues.(opened).url).Exec(t.Context(), `UPDATE `+table("q_"+queue)+` SET vt = vt - $1::interval`, d)
			if err != nil {
				t.Fatal(err)
			}
		},
		Archived: func(t testing.TB, queues centralcloud.Queue, queue string) []int64 {
			t.Helper()
			rows, _ := connect(t, queues.(opened).url).Query(t.Context(), `SELECT msg_id FROM `+table("a_"+queue)+` ORDER BY msg_id`)
			ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			if err != nil {
				t.Fatal(err)
			}
			return ids
		},
		Transaction: func(t testing.TB, queues centralcloud.Queue, f func(centralcloud.Queue) error) error {
			return pgx.BeginFunc(t.Context(), connect(t, queues.(opened).url), func(tx pgx.Tx) error { return f(pgmq.In(tx)) })
		},
	}
}

func table(name string) string { return pgx.Identifier{"pgmq", name}.Sanitize() }
