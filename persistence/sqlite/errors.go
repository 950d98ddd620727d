package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"singularity/persistence"
	"singularity/workflow"
)

// advice says of errors that may pass what a person can do about them, by
// their primary code.
var advice = map[int]string{
	sqlite3.SQLITE_FULL:     "the disk, or the database's own bound, is full; free disk space",
	sqlite3.SQLITE_IOERR:    "the disk refuses; check it and the permissions of the database's directory",
	sqlite3.SQLITE_BUSY:     "another program holds a lock on the database; close it",
	sqlite3.SQLITE_LOCKED:   "another program holds a lock on the database; close it",
	sqlite3.SQLITE_READONLY: "the database cannot be written; check the permissions of its directory",
	sqlite3.SQLITE_CANTOPEN: "the database cannot be opened; check that its directory is there, and its permissions",
	sqlite3.SQLITE_PERM:     "the database cannot be accessed; check the permissions of its directory",
	sqlite3.SQLITE_NOMEM:    "memory is short; free some",
	sqlite3.SQLITE_CORRUPT:  "the database is damaged; restore its directory from a backup",
	sqlite3.SQLITE_NOTADB:   "the database is damaged; restore its directory from a backup",
}

func adviceOn(err error) string {
	if advice, ok := advice[primaryCode(err)]; ok {
		return advice
	}
	return "the commit failed"
}

// translate turns an error of the driver into one of the contract.
func translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code := primaryCode(err)
	switch code {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return fmt.Errorf("%w: %w", persistence.ErrBadWrite, err)
	}
	if advice, ok := advice[code]; ok {
		return fmt.Errorf("%w: %s (%w)", workflow.ErrUnavailable, advice, err)
	}
	return err
}

// primaryCode is SQLite's code of an error, without its details; 0 when the
// error is not SQLite's.
func primaryCode(err error) int {
	if cause, ok := errors.AsType[*sqlite.Error](err); ok {
		return cause.Code() & 0xff
	}
	return 0
}

var errClosed = fmt.Errorf("%w: the store is closed", workflow.ErrUnavailable)
