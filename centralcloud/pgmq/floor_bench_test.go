package pgmq_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

// BenchmarkFunctionsAgainstBareSQL measures our functions beside the statements
// that they wrap, in turns on one session and on tables of the same shape:
// medians, and how much of the bare throughput is left.
func BenchmarkFunctionsAgainstBareSQL(b *testing.B) {
	for _, durable := range []bool{true, false} {
		server := testpostgres.Start(b, testpostgres.Config{Durable: durable})
		url := server.URL(testpostgres.Database)
		if _, err := pgmq.MigrateUp(b.Context(), url); err != nil {
			b.Fatal(err)
		}
		for _, work := range []struct {
			name       string
			ours, bare contender
		}{
			{"send", sendOurs, sendBare},
			{"send_batch", sendBatchOurs, sendBatchBare},
			{"read_delete", readOurs, readBare},
		} {
			b.Run(fmt.Sprintf("%s/durable=%t", work.name, durable), func(b *testing.B) {
				conn := connect(b, url)
				prepareQueues(b, conn)
				comparePairs(b, conn, work.ours, work.bare)
			})
		}
	}
}

// contender is one way to do a piece of work.
type contender func(ctx context.Context, conn *pgx.Conn) error

const (
	benchBatch   = 100
	benchBacklog = 30_000
)

var benchBody = `{"text": "` + strings.Repeat("x", 200) + `"}`

// prepareQueues makes both queues anew, with messages enough for a while.
func prepareQueues(b *testing.B, conn *pgx.Conn) {
	b.Helper()
	for _, queue := range []string{"ours", "bare"} {
		for _, statement := range []string{
			`SELECT pgmq.drop_queue($1)`, `SELECT pgmq.create($1)`,
			`SELECT count(*) FROM pgmq.send_batch($1, (SELECT array_agg('` + benchBody + `'::jsonb) FROM generate_series(1, ` + fmt.Sprint(benchBacklog) + `)))`,
		} {
			if _, err := conn.Exec(b.Context(), statement, queue); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := conn.Exec(b.Context(), `ANALYZE pgmq.q_`+queue); err != nil {
			b.Fatal(err)
		}
	}
}

// comparePairs lets each of a pair begin in turn.
func comparePairs(b *testing.B, conn *pgx.Conn, ours, bare contender) {
	b.Helper()
	var took [2][]time.Duration
	pair := []contender{ours, bare}
	for round := 0; b.Loop(); round++ {
		for i := range pair {
			which := (i + round) % 2
			began := time.Now()
			if err := pair[which](b.Context(), conn); err != nil {
				b.Fatal(err)
			}
			took[which] = append(took[which], time.Since(began))
		}
	}
	oursTook, bareTook := median(took[0]), median(took[1])
	b.ReportMetric(float64(oursTook.Microseconds()), "ours-us")
	b.ReportMetric(float64(bareTook.Microseconds()), "bare-us")
	b.ReportMetric(float64(bareTook)/float64(oursTook), "of-bare")
	b.ReportMetric(0, "ns/op")
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func sendOurs(ctx context.Context, conn *pgx.Conn) error {
	return second(collect(ctx, conn, `SELECT send FROM pgmq.send('ours', $1::jsonb)`, benchBody))
}

func sendBare(ctx context.Context, conn *pgx.Conn) error {
	return second(collect(ctx, conn, `INSERT INTO pgmq.q_bare (vt, message) VALUES (clock_timestamp(), $1::jsonb) RETURNING msg_id`, benchBody))
}

var benchBodies = slices.Repeat([]string{benchBody}, benchBatch)

func sendBatchOurs(ctx context.Context, conn *pgx.Conn) error {
	return second(collect(ctx, conn, `SELECT send_batch FROM pgmq.send_batch('ours', $1::jsonb[])`, benchBodies))
}

func sendBatchBare(ctx context.Context, conn *pgx.Conn) error {
	return second(collect(ctx, conn, `
		INSERT INTO pgmq.q_bare (vt, message)
		SELECT clock_timestamp(), message FROM unnest($1::jsonb[]) AS message
		RETURNING msg_id`, benchBodies))
}

func readOurs(ctx context.Context, conn *pgx.Conn) error {
	return readAndDelete(ctx, conn,
		`SELECT msg_id, message FROM pgmq.read('ours', 30, $1)`,
		`SELECT delete FROM pgmq.delete('ours', $1::bigint[])`)
}

func readBare(ctx context.Context, conn *pgx.Conn) error {
	return readAndDelete(ctx, conn, `
		WITH due AS (
			SELECT msg_id FROM pgmq.q_bare
			WHERE vt <= clock_timestamp()
			ORDER BY msg_id LIMIT $1
			FOR UPDATE SKIP LOCKED
		)
		UPDATE pgmq.q_bare AS q
		SET read_ct = read_ct + 1, last_read_at = clock_timestamp(), vt = clock_timestamp() + make_interval(secs => 30)
		FROM due WHERE q.msg_id = due.msg_id
		RETURNING q.msg_id, q.message`,
		`DELETE FROM pgmq.q_bare WHERE msg_id = ANY ($1) RETURNING msg_id`)
}

func readAndDelete(ctx context.Context, conn *pgx.Conn, read, remove string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, read, benchBatch)
		messages, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id int64, err error) {
			var body []byte
			err = row.Scan(&id, &body)
			return id, err
		})
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			return fmt.Errorf("the backlog of %d messages is read: take fewer rounds", benchBacklog)
		}
		return second(collect(ctx, tx, remove, messages))
	})
}

func collect(ctx context.Context, db interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}, query string, args ...any,
) ([]int64, error) {
	rows, _ := db.Query(ctx, query, args...)
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
