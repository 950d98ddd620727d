package sqlite

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// readers are the connections that read, with their prepared statements.
type readers struct {
	db     *sql.DB
	stmts  sync.Map // of *sql.Stmt, by query
	closed atomic.Bool
}

func openReaders(path string, connections int) (*readers, error) {
	db, err := sql.Open("sqlite", dsn(path, "query_only(true)", busyTimeout))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &readers{db: db}, nil
}

func (r *readers) close() error {
	r.closed.Store(true)
	return r.db.Close()
}

func (r *readers) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := r.stmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, loaded := r.stmts.LoadOrStore(query, stmt); loaded {
		_ = stmt.Close()
		return first.(*sql.Stmt), nil
	}
	return stmt, nil
}

// query calls scan for each row.
func (r *readers) query(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	err := r.scanRows(ctx, scan, query, args)
	if err != nil && r.closed.Load() {
		return errClosed
	}
	return translate(err)
}

func (r *readers) scanRows(ctx context.Context, scan func(scanner) error, query string, args []any) error {
	stmt, err := r.prepared(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func each(rows *sql.Rows, scan func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// appendText adds the only column of a row to a list.
func appendText(list *[]string, row scanner) error {
	var value string
	err := row.Scan(&value)
	*list = append(*list, value)
	return err
}
