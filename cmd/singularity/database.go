package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/pflag"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// databaseFlags say where a shared database is.
type databaseFlags struct {
	url        string
	sessionURL string
}

func (f *databaseFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.url, "database-url", "", "the Postgres database, as postgres://user@host/name; DATABASE_URL keeps a password out of the list of processes")
	set.StringVar(&f.sessionURL, "session-database-url", "", "the same database without a transaction pooler before it (default: that of --database-url)")
}

// check wants a database to be named.
func (f *databaseFlags) check() error {
	if f.url == "" {
		return usagef("which database? Set DATABASE_URL or --database-url to one such as postgres://user@host/name")
	}
	return nil
}

// direct is the URL without a pooler.
func (f *databaseFlags) direct() string { return cmp.Or(f.sessionURL, f.url) }

// about names the database for people, without a password.
func (f *databaseFlags) about() string {
	config, err := pgx.ParseConfig(f.url)
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("database %s of %s at %s", config.Database, config.User, config.Host)
}

// unreachableError is a database that does not answer, or is not there.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// refusesUser is the class of SQLSTATE for a wrong user or password.
const refusesUser = "28"

// explain says which flag an error of the database is about, and what kind it is.
func (f *databaseFlags) explain(err error) error {
	refusal, answered := errors.AsType[*pgconn.PgError](err)
	_, malformed := errors.AsType[*pgconn.ParseConfigError](err)
	switch {
	case malformed:
		return usagef("--database-url: %w; expected one such as postgres://user@host/name", err)
	case errors.Is(err, persistence.ErrInstanceTaken):
		return fmt.Errorf("--instance-id: %w", err)
	case errors.Is(err, postgres.ErrPooler), errors.Is(err, postgres.ErrReadOnly):
		return err // they name the flag
	case answered && len(refusal.Code) == 5 && refusal.Code[:2] == refusesUser:
		return fmt.Errorf("--database-url: %w", err)
	case errors.Is(err, workflow.ErrUnavailable):
		return &unreachableError{fmt.Errorf("--database-url: %w", err)}
	default:
		return fmt.Errorf("--database-url: %w", err)
	}
}
