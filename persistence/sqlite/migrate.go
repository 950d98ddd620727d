package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"singularity/migrations"
	"singularity/persistence"
)

// migrationsTable keeps the numbers of the migrations that were applied.
const migrationsTable = "schema_migrations"

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB) error {
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return translate(err)
	}
	if current > newest {
		return fmt.Errorf("%w: it is at migration %d, this program knows migrations up to %d; use the newer program, or another directory",
			persistence.ErrSchemaNewer, current, newest)
	}
	if _, err := provider.Up(ctx); err != nil {
		return translate(err)
	}
	return nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	store, err := database.NewStore(database.DialectSQLite3, migrationsTable)
	if err != nil {
		return nil, err
	}
	steps, err := migrations.Read(migrations.SQLite())
	if err != nil {
		return nil, err
	}
	list := make([]*goose.Migration, len(steps))
	for i, step := range steps {
		list[i] = goose.NewGoMigration(step.Number, script(step.Up), script(step.Down))
	}
	return goose.NewProvider(goose.DialectCustom, db, nil,
		goose.WithStore(store), goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(list...))
}

// script takes the place of goose's own reading of files, whose parser keeps 16
// MiB of buffers and thereby has the process grow to twice of that before the
// first garbage is collected.
func script(statements string) *goose.GoFunc {
	return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statements)
		return err
	}}
}
