package pgmq

import (
	"context"
	"fmt"

	"singularity/migrations"
)

const hasMigrations = `SELECT to_regclass('centralcloud.schema_migrations') IS NOT NULL`

const schemaVersion = `
SELECT coalesce(max(version_id), 0)
FROM centralcloud.schema_migrations
WHERE is_applied`

// check compares a database with what this program needs.
func check(ctx context.Context, db querier) error {
	version, newest, err := versions(ctx, db)
	if err != nil {
		return err
	}
	if version < newest {
		return fmt.Errorf("%w (it is at migration %d of %d)", ErrNotMigrated, version, newest)
	}
	return checkPgmq(ctx, db)
}

// versions are the migration that a database is at, and the newest one. It refuses a
// database that this program does not know.
func versions(ctx context.Context, db querier) (version, newest int64, err error) {
	var migrated bool
	if err := db.QueryRow(ctx, hasMigrations).Scan(&migrated); err != nil {
		return 0, 0, translate(err)
	}
	if migrated {
		if err := db.QueryRow(ctx, schemaVersion).Scan(&version); err != nil {
			return 0, 0, translate(err)
		}
	}
	newest = migrations.Newest(migrations.CentralCloudPostgres())
	return version, newest, compare(version, newest)
}

func checkPgmq(ctx context.Context, db querier) error {
	there, err := look(ctx, db)
	if err != nil {
		return translate(err)
	}
	next, err := there.next()
	if err == nil && next != useIt {
		err = fmt.Errorf("%w (pgmq is missing)", ErrNotMigrated)
	}
	return err
}

const isThere = `
SELECT EXISTS (
	SELECT
	FROM pg_catalog.pg_class AS c
	JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspname = 'centralcloud' AND c.relname = 'leader')`

// Present reports whether the database is one of a hub, whatever its version, and
// whether or not this role may use it.
func (s *Store) Present(ctx context.Context) (there bool, err error) {
	if err := s.pool.QueryRow(ctx, isThere).Scan(&there); err != nil {
		return false, fmt.Errorf("look for a hub: %w", translate(err))
	}
	return there, nil
}

// Condition is what a database has of a hub.
type Condition struct {
	Migration, Newest int64  // applied, and known to this program
	Pgmq              string // for people: whose functions there are, and their version
}

// Inspect looks at a database, which may be nobody's: then Migration is 0. Its error
// wraps [ErrNewer], or says what is wrong with pgmq.
func (s *Store) Inspect(ctx context.Context) (Condition, error) {
	c, err := inspect(ctx, s.pool)
	if err != nil {
		return c, fmt.Errorf("look at the hub's database: %w", err)
	}
	return c, nil
}

func inspect(ctx context.Context, db querier) (c Condition, err error) {
	if c.Migration, c.Newest, err = versions(ctx, db); err != nil {
		return c, err
	}
	there, err := look(ctx, db)
	if err != nil {
		return c, translate(err)
	}
	_, err = there.next()
	c.Pgmq = there.String()
	return c, err
}
