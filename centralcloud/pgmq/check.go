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
	var migrated bool
	if err := db.QueryRow(ctx, hasMigrations).Scan(&migrated); err != nil {
		return translate(err)
	}
	var version int64
	if migrated {
		if err := db.QueryRow(ctx, schemaVersion).Scan(&version); err != nil {
			return translate(err)
		}
	}
	newest := migrations.Newest(migrations.CentralCloudPostgres())
	if err := compare(version, newest); err != nil {
		return err
	}
	if version < newest {
		return fmt.Errorf("%w (it is at migration %d of %d)", ErrNotMigrated, version, newest)
	}
	return checkPgmq(ctx, db)
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
