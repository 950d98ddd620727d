package migrations

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// NewProvider applies steps to a database, which keeps their numbers in a table.
// A step without statements only has its number noted.
//
// The steps take the place of goose's own reading of files, whose parser keeps 16
// MiB of buffers and thereby has the process grow to twice of that before the
// first garbage is collected.
func NewProvider(db *sql.DB, dialect database.Dialect, table string, steps []Step) (*goose.Provider, error) {
	store, err := database.NewStore(dialect, table)
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

func script(statements string) *goose.GoFunc {
	if statements == "" {
		return nil
	}
	return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statements)
		return err
	}}
}
