package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"

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
	steps, err := readMigrations(migrations.SQLite())
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectCustom, db, nil,
		goose.WithStore(store), goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(steps...))
}

// readMigrations reads the files of a folder in place of goose, whose parser
// keeps 16 MiB of buffers and thereby has the process grow to twice of that
// before the first garbage is collected. SQLite tells statements apart itself.
func readMigrations(folder fs.FS) ([]*goose.Migration, error) {
	files, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return nil, err
	}
	var read []*goose.Migration
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, err
		}
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, err
		}
		up, down, found := strings.Cut(string(text), "-- +goose Down\n")
		if !found {
			return nil, fmt.Errorf("migration %s has no way down; expected a line -- +goose Down", file)
		}
		read = append(read, goose.NewGoMigration(version, script(file, up), script(file, down)))
	}
	return read, nil
}

func script(file, statements string) *goose.GoFunc {
	return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, statements); err != nil {
			return fmt.Errorf("migration %s: %w", file, err)
		}
		return nil
	}}
}
