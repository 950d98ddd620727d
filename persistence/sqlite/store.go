// Package sqlite keeps runs in an embedded SQLite database: a directory that
// one process has open at a time.
//
// A lock on a file of the directory stands for the lease that nodes of a
// cluster renew: while it is held, the boots that joined are alive, and opening
// the database ends all boots from before. One connection writes, and every
// write is one transaction that is on the disk before it is answered. Readers
// have connections of their own and see what was committed before they began.
// An idle store neither reads nor writes.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver

	"singularity/persistence"
)

// Config says where a [Store] is and how it behaves.
type Config struct {
	// Dir is the directory of the database. It is made if it is missing.
	Dir string
	// MaxPages bounds the database, in pages of 4 KiB; beyond it writes fail as
	// on a full disk. Defaults to no bound.
	MaxPages int
	// Readers is how many reads go on at once. Defaults to 4.
	Readers int
}

func (c Config) withDefaults() Config {
	if c.Readers == 0 {
		c.Readers = 4
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	if c.Dir == "" {
		problems = append(problems, errors.New("Dir is empty; expected the directory of the database"))
	}
	if c.MaxPages < 0 {
		problems = append(problems, fmt.Errorf("MaxPages is %d; expected a number of pages, or 0 for no bound", c.MaxPages))
	}
	if c.Readers < 0 {
		problems = append(problems, fmt.Errorf("Readers is %d; expected a number of connections, or 0 for the default", c.Readers))
	}
	return errors.Join(problems...)
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	connections
	lock *lock
}

// connections are those of an open database.
type connections struct {
	writer  *writer
	readers *readers
}

var _ persistence.Store = (*Store)(nil)

const databaseFile = "singularity.db"

// Open opens the database in a directory, makes or migrates it if need be, and
// ends the boots of the process before. An error wraps persistence.ErrLocked
// when another process has the directory, and persistence.ErrSchemaNewer when
// a newer version of the program has been there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open SQLite store: %w", err)
	}
	s, err := open(ctx, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open SQLite store in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := acquireLock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock}
	if err := s.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start opens the database, whose directory is locked.
func (s *Store) start(ctx context.Context, cfg Config) error {
	// A file name in a URI is absolute: the first part of another one would be
	// taken for a host.
	path, err := filepath.Abs(filepath.Join(cfg.Dir, databaseFile))
	if err != nil {
		return err
	}
	if err := createPrivate(path); err != nil {
		return err
	}
	if s.writer, err = openWriter(path, cfg.MaxPages); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer.db); err != nil {
		return err
	}
	if err := s.endBoots(ctx); err != nil {
		return err
	}
	s.readers, err = openReaders(path, cfg.Readers)
	return err
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

// Close waits for the transaction under way and closes the database. Calls
// after it fail.
func (s *Store) Close() error {
	return errors.Join(s.close(), s.lock.release())
}

// close closes those that were opened.
func (c connections) close() error {
	var problems []error
	if c.readers != nil {
		problems = append(problems, c.readers.close())
	}
	if c.writer != nil {
		problems = append(problems, c.writer.close())
	}
	return errors.Join(problems...)
}

// dsn is the name by which the driver opens a database with some settings.
func dsn(path string, pragmas ...string) string {
	query := url.Values{"_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
}

// busyTimeout is how long a statement waits for a lock of another program,
// such as a shell that has the database open.
var busyTimeout = "busy_timeout(" + strconv.FormatInt((5*time.Second).Milliseconds(), 10) + ")"

// now is the time in the precision of the database.
func now() int64 { return time.Now().UnixMicro() }

// moment is a stored time.
func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// moments is a stored time that may be missing.
func moments(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	at := moment(micros.Int64)
	return &at
}
