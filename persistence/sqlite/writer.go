package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"

	"singularity/persistence"
	"singularity/workflow"
)

// writer is the connection that writes, with its prepared statements.
type writer struct {
	db   *sql.DB
	turn chan struct{} // filled while somebody has what follows

	conn    *sql.Conn // nil until it is needed, and after it broke
	execs   map[string]driver.StmtExecContext
	queries map[string]*sql.Stmt
	bound   []driver.NamedValue
	closed  bool

	unkeyed map[lane]place // up to where limited claims have looked for runs without a key
}

func openWriter(path string, maxPages int) (*writer, error) {
	pragmas := []string{
		"journal_mode(wal)",
		"synchronous(full)", // a commit is on the disk when it is answered
		busyTimeout,
		"wal_autocheckpoint(4000)", // the busiest pages are copied once in 16 MiB
		"cache_size(-2048)",        // KiB; a long queue must not cost memory
		"temp_store(memory)",
	}
	if maxPages > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", maxPages))
	}
	db, err := sql.Open("sqlite", dsn(path, pragmas...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &writer{db: db, turn: make(chan struct{}, 1), unkeyed: map[lane]place{}}, nil
}

// close waits for its turn.
func (w *writer) close() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.closed = true
	w.disconnect()
	return w.db.Close()
}

const (
	beginTransaction    = `BEGIN IMMEDIATE`
	commitTransaction   = `COMMIT`
	rollbackTransaction = `ROLLBACK`
)

// transaction calls f in a transaction and commits it. An error of f, or the
// end of ctx, rolls it back; whatever the error is, no transaction is open
// afterwards. Statements do not see ctx, since the driver would start a
// goroutine for each; a long f looks at it in between.
func (w *writer) transaction(ctx context.Context, f func(*tx) error) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.closed {
		return errClosed
	}
	if err := w.connect(ctx); err != nil {
		return translate(err)
	}
	t := &tx{writer: w, at: now()}
	if _, err := t.exec(beginTransaction); err != nil {
		w.disconnect()
		return translate(err)
	}
	open := true
	defer func() {
		if open {
			w.rollback(t)
		}
	}()
	if err := f(t); err != nil {
		return translate(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := t.exec(commitTransaction); err != nil {
		return notCommitted(err)
	}
	open = false
	return nil
}

// notCommitted is the error of a failed COMMIT. A disk that was full kept the
// commit record from being written whole; after any other error it may turn
// up in the log when the database is next opened.
func notCommitted(err error) error {
	if primaryCode(err) == sqlite3.SQLITE_FULL {
		return translate(err)
	}
	return fmt.Errorf("%w: %s (%w)", workflow.ErrOutcomeUnknown, adviceOn(err), err)
}

// rollback ends the transaction. Some errors have ended it already; to be sure
// after any doubt, the connection goes with it.
func (w *writer) rollback(t *tx) {
	if _, err := t.exec(rollbackTransaction); err != nil {
		w.disconnect()
	}
}

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn = conn
	w.execs, w.queries = map[string]driver.StmtExecContext{}, map[string]*sql.Stmt{}
	return nil
}

// disconnect closes the connection itself, where returning it to the pool
// would keep it.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, stmt := range w.queries {
		_ = stmt.Close()
	}
	_ = w.conn.Raw(func(any) error {
		for _, stmt := range w.execs {
			_ = stmt.(driver.Stmt).Close()
		}
		return driver.ErrBadConn
	})
	_ = w.conn.Close()
	w.conn = nil
}

// tx is the transaction under way.
type tx struct {
	*writer
	at     int64                       // its time
	leases map[persistence.BootID]bool // which boots are alive, as far as it was asked
}

// exec returns how many rows a statement changed. It speaks to the driver
// itself: database/sql would add a fifth to what a checkpoint costs.
func (t *tx) exec(query string, args ...any) (changed int64, err error) {
	err = t.conn.Raw(func(conn any) error {
		stmt, err := t.preparedExec(conn.(driver.ConnPrepareContext), query)
		if err != nil {
			return err
		}
		result, err := stmt.ExecContext(context.Background(), t.bind(args))
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// preparedExec is the statement of a query, prepared at its first use.
func (t *tx) preparedExec(conn driver.ConnPrepareContext, query string) (driver.StmtExecContext, error) {
	if stmt := t.execs[query]; stmt != nil {
		return stmt, nil
	}
	prepared, err := conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	stmt := prepared.(driver.StmtExecContext)
	t.execs[query] = stmt
	return stmt, nil
}

// bind numbers the arguments of a statement. They are the driver's until it
// returns.
func (t *tx) bind(args []any) []driver.NamedValue {
	t.bound = t.bound[:0]
	for i, arg := range args {
		if number, ok := arg.(int); ok {
			arg = int64(number)
		}
		t.bound = append(t.bound, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return t.bound
}

// query calls scan for each row.
func (t *tx) query(scan func(scanner) error, query string, args ...any) error {
	stmt, err := t.preparedQuery(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// preparedQuery is the statement of a query, prepared at its first use.
func (t *tx) preparedQuery(query string) (*sql.Stmt, error) {
	if stmt := t.queries[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	t.queries[query] = stmt
	return stmt, nil
}
