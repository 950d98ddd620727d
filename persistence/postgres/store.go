// Package postgres keeps runs in a Postgres database that several nodes share.
//
// Everything is in the schema singularity. Open does not migrate: that is
// [MigrateUp]'s, which any number of nodes may call at once.
//
// Changes of runs go over a few connections that do nothing else. A batch is
// one pipeline and one transaction, in which each kind of write is one
// statement over arrays; the database gets to it in one round trip. Reads and
// everything else have a pool of their own. The session that holds a node's
// lease is a single connection beside both.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/persistence"
)

// Config says where a [Store] is and how it behaves.
type Config struct {
	// URL names the database, as postgres://user:password@host/database or in
	// the form of libpq. A pooler that lends connections for transactions may
	// stand before it.
	URL string
	// SessionURL names the same database without such a pooler, for the one
	// connection that a node keeps for itself. Defaults to URL.
	SessionURL string
	// LeaseTerm is how long a renewal of a lease lasts. Defaults to
	// persistence.LeaseTerm.
	LeaseTerm time.Duration
	// Writers is how many batches of writes go on at once. Defaults to 2.
	Writers int
	// Readers is how many other calls go on at once. Defaults to 4.
	Readers int
	// Steps is how many transactional steps go on at once. Defaults to 4.
	Steps int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.SessionURL == "" {
		c.SessionURL = c.URL
	}
	if c.LeaseTerm == 0 {
		c.LeaseTerm = persistence.LeaseTerm
	}
	if c.Writers == 0 {
		c.Writers = 2
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.Steps == 0 {
		c.Steps = 4
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	if c.URL == "" {
		problems = append(problems, errors.New("URL is empty; expected one such as postgres://user:password@host/database"))
	}
	if c.LeaseTerm < 0 {
		problems = append(problems, fmt.Errorf("LeaseTerm is %s; expected a duration, or 0 for the default", c.LeaseTerm))
	}
	if c.Writers < 0 {
		problems = append(problems, fmt.Errorf("Writers is %d; expected a number of connections, or 0 for the default", c.Writers))
	}
	if c.Readers < 0 {
		problems = append(problems, fmt.Errorf("Readers is %d; expected a number of connections, or 0 for the default", c.Readers))
	}
	if c.Steps < 0 {
		problems = append(problems, fmt.Errorf("Steps is %d; expected a number of connections, or 0 for the default", c.Steps))
	}
	return errors.Join(problems...)
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	cfg     Config
	pooled  bool // a pooler lends connections for transactions
	name    atomic.Pointer[string]
	writers *pgxpool.Pool
	readers *pgxpool.Pool
	steps   *pgxpool.Pool
	closed  atomic.Bool
	floors  floors
	bulk    chan struct{} // filled while a bulk insert is under way
	unkeyed unkeyed

	sessions sessions
	listener persistence.Listener // set by Listen
}

// Open connects to a database. An error wraps persistence.ErrSchemaMissing
// when it was not migrated as far as this program needs,
// persistence.ErrSchemaNewer when a newer version of the program has been
// there, and workflow.ErrUnavailable when it cannot be reached.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open Postgres store: %w", err)
	}
	s := &Store{cfg: cfg.withDefaults(), bulk: make(chan struct{}, 1)}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("open Postgres store: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) (err error) {
	if s.pooled, err = probe(ctx, s.cfg.URL); err != nil {
		return err
	}
	if s.writers, err = s.newWriters(ctx); err != nil {
		return err
	}
	if s.readers, err = s.newReaders(ctx); err != nil {
		return err
	}
	s.steps, err = s.newSteps(ctx)
	return err
}

// Close waits for the calls under way and closes the connections. Calls after
// it fail.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.sessions.close()
	for _, pool := range []*pgxpool.Pool{s.writers, s.readers, s.steps} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}
