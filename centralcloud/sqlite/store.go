// Package sqlite keeps the queues of the hub in an embedded database, for nodes
// without Postgres. It is a file of its own beside the node's, so that neither
// waits for the other; several processes may have it open.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver

	"singularity/centralcloud"
)

// Store is the hub's database. Its methods may be called from any goroutine.
type Store struct {
	Queue
	db *sql.DB
}

var _ centralcloud.Queue = (*Store)(nil)

// File is the name of the database in its directory.
const File = "centralcloud.db"

// Open opens the hub's database in a directory and makes or migrates it if need
// be. An error wraps [ErrNewer] when a newer version of the program has been
// there.
func Open(ctx context.Context, dir string) (*Store, error) {
	s, err := open(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("open the hub's database in %s: %w", dir, err)
	}
	return s, nil
}

func open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// A file name in a URI is absolute: the first part of another one would be
	// taken for a host.
	path, err := filepath.Abs(filepath.Join(dir, File))
	if err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		_ = db.Close()
		return nil, err
	}
	return &Store{Queue: Queue{inTurn(db)}, db: db}, nil
}

// createPrivate makes sure that the database's file is there, for its owner
// alone; SQLite gives the files beside it the same mode.
func createPrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// dsn has each transaction take the lock to write as it begins, and each commit
// on the disk before it is answered.
func dsn(path string) string {
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(5000)", "foreign_keys(on)"},
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
}

// Close waits for the transaction under way and closes the database.
func (s *Store) Close() error { return s.db.Close() }

// query calls scan for each row that a statement returns.
func query(ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) error, statement string, args ...any) error {
	rows, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// transact calls f in a transaction.
type transact func(ctx context.Context, f func(*sql.Tx) error) error

// inTurn gives each call a transaction of its own, one at a time.
func inTurn(db *sql.DB) transact {
	return func(ctx context.Context, f func(*sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // it does nothing after a commit
		if err := f(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
}
