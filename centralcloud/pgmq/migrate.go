package pgmq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"singularity/migrations"
)

// Migration is one step of the hub's schema.
type Migration struct {
	Number int64
	Name   string
}

// migrationsTable keeps the numbers of the migrations that were applied. The
// set is the hub's own, which may share its database with nodes.
const migrationsTable = "centralcloud.schema_migrations"

// MigrateUp brings the hub's database up to date, pgmq included, and returns
// what it applied. Any number of processes may call it at once: one does the
// work, the others wait. Nodes that use the database hear of it.
func MigrateUp(ctx context.Context, url string) ([]Migration, error) {
	var applied []Migration
	err := migrate(ctx, url, func(guard pgx.Tx, set *set) error {
		if err := install(ctx, guard, set.steps[pgmqStep]); err != nil {
			return err
		}
		results, err := set.Up(ctx)
		for _, result := range results {
			applied = append(applied, set.migration(result))
		}
		if err == nil {
			_, err = guard.Exec(ctx, announce)
		}
		return err
	})
	if err != nil {
		return applied, fmt.Errorf("migrate the hub's database up: %w", err)
	}
	return applied, nil
}

// MigrateDown takes the latest migration back and returns it, nil when there is
// none. With the first go our functions of pgmq and all queues, but no
// extension.
func MigrateDown(ctx context.Context, url string) (*Migration, error) {
	var undone *Migration
	err := migrate(ctx, url, func(guard pgx.Tx, set *set) error {
		result, err := set.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if err != nil {
			return err
		}
		undone = new(set.migration(result))
		if undone.Number != pgmqStep {
			return nil
		}
		return uninstall(ctx, guard, set.steps[pgmqStep])
	})
	if err != nil {
		return nil, fmt.Errorf("migrate the hub's database down: %w", err)
	}
	return undone, nil
}

// migrationLock is the number of the advisory lock under which migrations are
// applied: "ccentral" in ASCII.
const migrationLock = 0x6363656e7472616c

// migrate calls f, alone among all callers of all processes. The lock belongs
// to a transaction that stays open beside those of the set, which works through
// any pooler; what f does in it commits last.
func migrate(ctx context.Context, url string, f func(guard pgx.Tx, set *set) error) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	configure(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return pgx.BeginFunc(ctx, conn, func(guard pgx.Tx) error {
		if _, err := guard.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
			return err
		}
		if _, err := guard.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		db := stdlib.OpenDB(*config)
		defer db.Close()
		if _, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS centralcloud`); err != nil {
			return translate(err)
		}
		set, err := openSet(ctx, db)
		if err != nil {
			return err
		}
		return translate(f(guard, set))
	})
}

// set is the migrations of the hub, on a database.
type set struct {
	*goose.Provider
	steps map[int64]migrations.Step
}

// openSet refuses a database that a newer program has migrated.
func openSet(ctx context.Context, db *sql.DB) (*set, error) {
	steps := migrations.CentralCloudPostgres()
	s := &set{steps: map[int64]migrations.Step{}}
	list := slices.Clone(steps)
	for i, step := range steps {
		s.steps[step.Number] = step
		if step.Number == pgmqStep {
			list[i].Up, list[i].Down = "", "" // install and uninstall do it
		}
	}
	var err error
	s.Provider, err = migrations.NewProvider(db, database.DialectPostgres, migrationsTable, list)
	if err != nil {
		return nil, err
	}
	current, newest, err := s.GetVersions(ctx)
	if err != nil {
		return nil, err
	}
	return s, compare(current, newest)
}

func (s *set) migration(result *goose.MigrationResult) Migration {
	return Migration{Number: result.Source.Version, Name: s.steps[result.Source.Version].Name}
}

// compare refuses a version that this program does not know.
func compare(current, newest int64) error {
	if current > newest {
		return fmt.Errorf("%w: it is at migration %d, this program knows migrations up to %d; use the newer program, or another database", ErrNewer, current, newest)
	}
	return nil
}
