package pgmq_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"singularity/internal/testpostgres"
)

// The conformance tests hold whatever pgmq a migrated database has to what
// clients rely on. On a server with the extension, which
// SINGULARITY_TEST_DATABASE_URL can name, it is the extension that they test.

// database is one with pgmq, and a session.
type database struct {
	*testing.T
	*pgx.Conn
	url string
}

func setup(t *testing.T) *database {
	t.Helper()
	url := testpostgres.URL(t)
	return &database{t, connect(t, url), url}
}

// another is a further session.
func (d *database) another() *database {
	d.Helper()
	return &database{d.T, connect(d, d.url), d.url}
}

func (d *database) exec(query string, args ...any) {
	d.Helper()
	if _, err := d.Exec(d.Context(), query, args...); err != nil {
		d.Fatalf("%s: %v", query, err)
	}
}

// create makes a queue.
func (d *database) create(queue string) {
	d.Helper()
	d.exec(`SELECT pgmq.create($1)`, queue)
}

// all returns the only column of what a query returns.
func all[T any](d *database, query string, args ...any) []T {
	d.Helper()
	rows, _ := d.Query(d.Context(), query, args...)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		d.Fatalf("%s: %v", query, err)
	}
	return values
}

// one returns the only value that a query returns.
func one[T any](d *database, query string, args ...any) T {
	d.Helper()
	values := all[T](d, query, args...)
	if len(values) != 1 {
		d.Fatalf("%s: %d rows, want one", query, len(values))
	}
	return values[0]
}

// returns checks the ids, or whatever numbers, that a query returns.
func (d *database) returns(want []int64, query string, args ...any) {
	d.Helper()
	if got := all[int64](d, query, args...); !slices.Equal(got, want) {
		d.Errorf("%s %v: %v, want %v", query, args, got, want)
	}
}

// holds checks a condition.
func (d *database) holds(query string, args ...any) {
	d.Helper()
	if !one[bool](d, query, args...) {
		d.Errorf("does not hold: %s %v", query, args)
	}
}

// fails checks the code of an error and a part of its text.
func (d *database) fails(code, text, query string, args ...any) {
	d.Helper()
	_, err := d.Exec(d.Context(), query, args...)
	cause, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || cause.Code != code || !strings.Contains(cause.Message, text) {
		d.Errorf("%s %v: %v, want code %s and %q", query, args, err, code, text)
	}
}

// rolledBack calls f in a transaction, and rolls it back.
func (d *database) rolledBack(f func()) {
	d.Helper()
	d.exec(`BEGIN`)
	f()
	d.exec(`ROLLBACK`)
}

// Codes of errors.
const (
	raised        = "P0001"
	noTable       = "42P01"
	noFunction    = "42883"
	nullName      = "22004"
	negativeLimit = "2201W"
	notNull       = "23502"
)
