package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"singularity/migrations"
	"singularity/persistence"
)

// Migration is one step of the schema.
type Migration struct {
	Number    int
	Name      string
	AppliedAt *time.Time // nil while it is not
}

// migrationsTable keeps the numbers of the migrations that were applied.
const migrationsTable = "singularity.schema_migrations"

// MigrateUp brings the schema up to date and returns what it applied. Any
// number of nodes may call it at once: one does the work, the others wait.
func MigrateUp(ctx context.Context, url string) ([]Migration, error) {
	var applied []Migration
	err := migrate(ctx, url, func(provider *goose.Provider) error {
		if err := checkVersion(provider.GetVersions(ctx)); err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		for _, result := range results {
			applied = append(applied, migrationOf(result))
		}
		return err
	})
	if err != nil {
		return applied, fmt.Errorf("migrate up: %w", err)
	}
	return applied, nil
}

// MigrateDown takes the latest migration back and returns it, nil when there
// is none.
func MigrateDown(ctx context.Context, url string) (*Migration, error) {
	var undone *Migration
	err := migrate(ctx, url, func(provider *goose.Provider) error {
		if err := checkVersion(provider.GetVersions(ctx)); err != nil {
			return err
		}
		result, err := provider.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if err == nil {
			migration := migrationOf(result)
			migration.AppliedAt = nil
			undone = &migration
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("migrate down: %w", err)
	}
	return undone, nil
}

func migrationOf(result *goose.MigrationResult) Migration {
	at := time.Now().UTC()
	list := known()
	i := slices.IndexFunc(list, func(m Migration) bool { return m.Number == int(result.Source.Version) })
	list[i].AppliedAt = &at
	return list[i]
}

const appliedMigrations = `
SELECT version_id, tstamp::timestamptz
FROM singularity.schema_migrations
WHERE is_applied AND version_id > 0`

// MigrationStatus lists the migrations that this program knows, in order.
func MigrationStatus(ctx context.Context, url string) ([]Migration, error) {
	list := known()
	applied, err := readApplied(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	for i := range list {
		if at, ok := applied[list[i].Number]; ok {
			list[i].AppliedAt = &at
		}
	}
	return list, nil
}

// readApplied tells when each migration was applied.
func readApplied(ctx context.Context, url string) (map[int]time.Time, error) {
	conn, err := connectPlainly(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, _ := conn.Query(ctx, appliedMigrations)
	applied := map[int]time.Time{}
	var number int
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&number, &at}, func() error {
		applied[number] = at.UTC()
		return nil
	})
	if isMissing(err) {
		return applied, nil
	}
	return applied, translate(err)
}

// known are the migrations of this program, in order.
func known() []Migration {
	steps := migrations.Postgres()
	list := make([]Migration, len(steps))
	for i, step := range steps {
		list[i] = Migration{Number: int(step.Number), Name: step.Name}
	}
	return list
}

const schemaVersion = `
SELECT coalesce(max(version_id), 0)
FROM singularity.schema_migrations
WHERE is_applied`

// checkSchema compares the schema of a database with what this program needs.
func checkSchema(ctx context.Context, conn *pgx.Conn) error {
	var version int64
	err := conn.QueryRow(ctx, schemaVersion).Scan(&version)
	if err != nil && !isMissing(err) {
		return translate(err)
	}
	newest := migrations.Newest(migrations.Postgres())
	if err := checkVersion(version, newest, nil); err != nil {
		return err
	}
	if version < newest {
		return fmt.Errorf("%w (it is at migration %d of %d)", persistence.ErrSchemaMissing, version, newest)
	}
	return nil
}

// checkVersion refuses a database that a newer program has migrated.
func checkVersion(current, newest int64, err error) error {
	if err == nil && current > newest {
		err = fmt.Errorf("%w: it is at migration %d, this program knows migrations up to %d; use the newer program, or another database",
			persistence.ErrSchemaNewer, current, newest)
	}
	return err
}

// migrationLock is the number of the advisory lock under which migrations are
// applied: "singular" in ASCII.
const migrationLock = 0x73696e67756c6172

// migrate calls f, alone among all callers of all processes. The lock belongs
// to a transaction that stays open beside f's own, which works through any
// pooler.
func migrate(ctx context.Context, url string, f func(*goose.Provider) error) error {
	guard, err := connectPlainly(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = guard.Close(context.WithoutCancel(ctx)) }()
	if _, err := guard.Exec(ctx, `BEGIN`); err != nil {
		return translate(err)
	}
	if _, err := guard.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		return translate(err)
	}
	if _, err := guard.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return translate(err)
	}
	db, err := openPlainly(url)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS singularity`); err != nil {
		return translate(err)
	}
	provider, err := migrations.NewProvider(db, database.DialectPostgres, migrationsTable, migrations.Postgres())
	if err != nil {
		return err
	}
	return translate(f(provider))
}

func openPlainly(url string) (*sql.DB, error) {
	config, err := connectConfig(url)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return stdlib.OpenDB(*config), nil
}
