package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"singularity/workflow"
)

// statement is one that writers run. A direct connection prepares all of them
// when it is made; through a pooler their text is sent each time.
type statement struct{ name, sql string }

// statements are all that there are.
var statements = []*statement{
	lockRuns, forgetRuns, insertRun, insertRuns, insertFullRuns, existingByID, existingByKey,
	completeStep, advanceRuns, insertRecords, upsertResults, landedEntries, landedBare,
	claimRuns, claimedRuns, lockLease, lockQueue, queueUsage, anyDue, countClaimed, waitingPage, giveKeys, takeTurns, keepTurn, keepBucket,
	reactivateRuns, cancelRuns, retryRuns, keyHolders, bareRuns,
	lockUnique, lapseUnique, replaceRuns, existingByUnique, lapseRivals,
	lockInboxes, insertMessages, postMessages, finishMessages,
}

// query is a statement with its parameters, and what is done with each row of
// its result.
type query struct {
	*statement
	params [][]byte
	row    func(scanner) error // nil when it returns none
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// numbered reads a number in front of a row: that of the parameters' row to
// which it belongs.
type numbered struct {
	scanner
	n *int64
}

func (r numbered) Scan(dest ...any) error {
	return r.scanner.Scan(append([]any{r.n}, dest...)...)
}

// binaryForm is the format of all parameters and results.
var binaryForm = []int16{1}

// settled is an error of a transaction that was rolled back for sure.
type settled struct{ error }

func (e settled) Unwrap() error { return e.error }

// run runs queries in one round trip and one transaction: the server commits
// when it gets to the end of the pipeline, unless one of them failed. Any
// error that is not settled leaves open whether it did.
func (s *Store) run(ctx context.Context, queries []query) error {
	if s.closed.Load() {
		return settled{errClosed}
	}
	conn, err := s.writers.Acquire(ctx)
	if err != nil {
		return settled{s.afterClose(err)}
	}
	defer conn.Release()
	patience := patienceWith(conn.Conn().PgConn())
	patience.begin()
	defer patience.end()
	if s.pooled {
		queries = slices.Insert(slices.Clone(queries), 0, query{statement: applySettings})
	}
	return exchange(conn.Conn(), queries)
}

// exchange runs queries in one round trip. Outside of a transaction they are
// one.
func exchange(conn *pgx.Conn, queries []query) error {
	pipeline := conn.PgConn().StartPipeline(context.Background())
	defer func() { _ = pipeline.Close() }()
	prepared, _ := conn.PgConn().CustomData()[preparedKey].(map[*statement]*pgconn.StatementDescription)
	for _, q := range queries {
		if description := prepared[q.statement]; description != nil {
			pipeline.SendQueryStatement(description, q.params, binaryForm, binaryForm)
		} else {
			pipeline.SendQueryParams(q.sql, q.params, nil, binaryForm, binaryForm)
		}
	}
	if err := pipeline.Sync(); err != nil {
		// The end of the pipeline is the last that is sent: without it nothing is
		// committed.
		return settled{err}
	}
	for _, q := range queries {
		if err := receive(conn, pipeline, q); err != nil {
			return err
		}
	}
	_, err := pipeline.GetResults() // of the commit
	if codeOf(err) != "" && !isFatal(err) {
		return settled{err}
	}
	return err
}

// receive reads the result of one query. An error of the server settles the
// transaction, since it comes before the commit; one of class 08 is a pooler's,
// which has lost the server.
func receive(conn *pgx.Conn, pipeline *pgconn.Pipeline, q query) error {
	results, err := pipeline.GetResults()
	if err == nil {
		reader, ok := results.(*pgconn.ResultReader)
		if !ok {
			return fmt.Errorf("statement %s is answered by %T", q.name, results)
		}
		err = scanAll(pgx.RowsFromResultReader(conn.TypeMap(), reader), q.row)
	}
	if code := codeOf(err); code != "" && code[:2] != classConnection {
		return settled{fmt.Errorf("statement %s: %w", q.name, err)}
	}
	return err
}

// scanAll calls scan for each row.
func scanAll(rows pgx.Rows, scan func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if scan == nil {
			continue
		}
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// preparedKey is where a connection keeps its prepared statements.
const preparedKey = "singularity statements"

// prepare prepares the statements of writers on a new connection, in one round
// trip.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	pipeline := conn.PgConn().StartPipeline(ctx)
	for _, s := range statements {
		pipeline.SendPrepare(s.name, s.sql, nil)
	}
	err := pipeline.Sync()
	prepared := make(map[*statement]*pgconn.StatementDescription, len(statements))
	for _, s := range statements {
		var results any
		if err == nil {
			results, err = pipeline.GetResults()
		}
		if description, ok := results.(*pgconn.StatementDescription); ok {
			description.Name = s.name
			prepared[s] = description
		} else if err != nil {
			err = fmt.Errorf("prepare statement %s: %w", s.name, err)
			break
		}
	}
	if err := errors.Join(err, pipeline.Close()); err != nil {
		return err
	}
	conn.PgConn().CustomData()[preparedKey] = prepared
	return nil
}

// applySettings makes the settings of a direct connection for one transaction,
// since a pooler's connection is somebody else's in the next.
var applySettings = &statement{"apply_settings", func() string {
	var calls []string
	for name, value := range settings {
		calls = append(calls, fmt.Sprintf("set_config('%s', '%s', true)", name, value))
	}
	slices.Sort(calls)
	return "SELECT " + strings.Join(calls, ", ")
}()}

// afterClose says of an error that the store was closed, if it was.
func (s *Store) afterClose(err error) error {
	if s.closed.Load() && !errors.Is(err, workflow.ErrUnavailable) {
		return errClosed
	}
	return err
}
