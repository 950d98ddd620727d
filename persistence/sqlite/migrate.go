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
	return migrations.NewProvider(db, database.DialectSQLite3, migrationsTable, migrations.SQLite())
}
