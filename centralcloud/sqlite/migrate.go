package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3/database"

	"singularity/migrations"
)

// ErrNewer: a newer program has migrated the database.
var ErrNewer = errors.New("the hub's database is newer than this program")

// migrationsTable keeps the numbers of the migrations that were applied.
const migrationsTable = "schema_migrations"

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB) error {
	provider, err := migrations.NewProvider(db, database.DialectSQLite3, migrationsTable, migrations.CentralCloudSQLite())
	if err != nil {
		return err
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return fmt.Errorf("%w: it is at migration %d, this program knows migrations up to %d; use the newer program, or another directory", ErrNewer, current, newest)
	}
	_, err = provider.Up(ctx)
	return err
}
