// Package pgmq keeps the queues of the hub in Postgres, by the functions of
// pgmq: those of the extension where it is or can be installed, otherwise
// functions of our own with the same names, tables and behaviour, so that any
// client of pgmq can use them. See docs/pgmq.md.
package pgmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/centralcloud"
)

// Config says where a [Store] is and how it behaves.
type Config struct {
	// URL is the database of the hub.
	URL string
	// Connections is how many there are at most. Defaults to 4.
	Connections int
}

func (c Config) withDefaults() Config {
	if c.Connections == 0 {
		c.Connections = 4
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	if c.URL == "" {
		problems = append(problems, errors.New("URL is empty; expected postgres://user@host/database"))
	}
	if c.Connections < 0 {
		problems = append(problems, fmt.Errorf("Connections is %d; expected a number of them, or 0 for the default", c.Connections))
	}
	return errors.Join(problems...)
}

// Store is the hub's database. Its methods may be called from any goroutine.
type Store struct {
	Queue
	pool *pgxpool.Pool
	ear  ear
}

var _ centralcloud.Queue = (*Store)(nil)

// Open connects to a database that [MigrateUp] has brought up to date. An error
// wraps [ErrNotMigrated] when that is to be done.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open the hub's database: %w", err)
	}
	s, err := open(ctx, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open the hub's database: %w", err)
	}
	return s, nil
}

// Connect is as Open, but asks the database nothing. It is for those who start
// whether or not the hub's database can be reached, or has been migrated: until
// then the calls of the store fail.
func Connect(ctx context.Context, cfg Config) (*Store, error) {
	s, err := (*Store)(nil), cfg.validate()
	if err == nil {
		s, err = connect(ctx, cfg.withDefaults())
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the hub's database: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := check(ctx, s.pool); err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

func connect(ctx context.Context, cfg Config) (*Store, error) {
	config, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, err
	}
	configure(config.ConnConfig)
	config.MaxConns, config.MinConns, config.MaxConnIdleTime = int32(cfg.Connections), 0, idleConnection
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Store{Queue: Queue{pool}, pool: pool, ear: ear{config: config.ConnConfig.Copy()}}, nil
}

// idleConnection is for how long a connection is kept that nobody uses.
const idleConnection = time.Minute

// Close waits for the calls under way and closes the connections.
func (s *Store) Close() error {
	s.ear.close()
	s.pool.Close()
	return nil
}

// configure suits a connection to servers behind any pooler: no statement is
// prepared.
func configure(config *pgx.ConnConfig) {
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams["application_name"] = "singularity/centralcloud"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
}
