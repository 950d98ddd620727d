package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The tables beside those of days.
const (
	earlierTable = "step_checkpoints_earlier" // what was there before
	spareTable   = "step_checkpoints_spare"   // what is of no known day
)

// Partition makes the checkpoints a table with a partition for each day, by the
// time in the ids of runs, and returns its days, and whether they were changed.
// What is there already becomes the first of them. If it was made so before,
// only the days to come are made that are missing.
//
// Nodes may be at work. They wait while Partition looks through the checkpoints
// that are there, and no longer than pause: if it takes longer, nothing is
// changed. Before that it waits for those who use the checkpoints, a quarter of a
// second at a time, and others wait behind it.
func Partition(ctx context.Context, url string, pause time.Duration) (days *Days, changed bool, err error) {
	return partition(ctx, url, pause, time.Time{})
}

// triesToLock is how often Partition tries to have the checkpoints to itself.
const triesToLock = 20

// partition does so as if it were another time, unless at is zero.
func partition(ctx context.Context, url string, pause time.Duration, at time.Time) (days *Days, changed bool, err error) {
	conn, err := connectPlainly(ctx, url)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := checkSchema(ctx, conn); err != nil {
		return nil, false, err
	}
	for try := 1; ; try++ {
		err = pgx.BeginTxFunc(ctx, conn, afresh, func(tx pgx.Tx) error {
			changed, err = divide(ctx, tx, pause, at)
			return err
		})
		if codeOf(err) != lockNotAvailable || try == triesToLock {
			break
		}
		select {
		case <-time.After(turnPatience):
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	const queryCanceled = "57014"
	switch codeOf(err) {
	case "":
	case lockNotAvailable:
		return nil, false, fmt.Errorf("partition the checkpoints: others use them all the time; end their transactions, which pg_stat_activity shows, or try again (%w)", err)
	case queryCanceled:
		return nil, false, fmt.Errorf("partition the checkpoints: it takes longer than %s to look through those that are there, and nothing was changed; allow for a longer pause (%w)", pause, err)
	}
	if err == nil {
		days, err = readDays(ctx, conn)
	}
	return days, changed, translate(err)
}

// divide does it in one transaction.
func divide(ctx context.Context, tx pgx.Tx, pause time.Duration, at time.Time) (changed bool, err error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return false, err
	}
	if err := lockCheckpoints(ctx, tx, turnPatience, pause); err != nil {
		return false, err
	}
	days, err := readDays(ctx, tx)
	if err != nil {
		return false, err
	}
	if days == nil {
		return true, divideWhole(ctx, tx, at)
	}
	dropped, err := dropDays.take(ctx, tx)
	if err != nil {
		return false, err
	}
	made, err := makeDays(days.Spare).take(ctx, tx)
	return dropped+made > 0, err
}

const selectNow = `SELECT now()`

// divideWhole makes a table that is not partitioned the first partition of one
// that is.
func divideWhole(ctx context.Context, tx pgx.Tx, at time.Time) error {
	if at.IsZero() {
		if err := tx.QueryRow(ctx, selectNow).Scan(&at); err != nil {
			return err
		}
	}
	first := dayFrom(startOfDay(at).AddDate(0, 0, daysAhead))
	grants, err := grantsOfCheckpoints(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().Exec(ctx, fmt.Sprintf(divided, earlierTable, spareTable, firstID(first.From))+grants).ReadAll()
	if err != nil {
		return err
	}
	return makeDay(ctx, tx, first)
}

// What has an id from the bound on moves, as ids have that callers chose, and
// that are of no version 7. Postgres looks through what is attached, to see
// whether all that stays is below.
const divided = `
ALTER TABLE singularity.step_checkpoints RENAME TO %[1]s;
ALTER TABLE singularity.%[1]s RENAME CONSTRAINT step_checkpoints_pkey TO %[1]s_pkey;
CREATE TABLE singularity.step_checkpoints (LIKE singularity.%[1]s INCLUDING DEFAULTS, PRIMARY KEY (run_id, seq))
PARTITION BY RANGE (run_id);
CREATE TABLE singularity.%[2]s PARTITION OF singularity.step_checkpoints DEFAULT
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
WITH moved AS (
	DELETE FROM singularity.%[1]s WHERE run_id >= '%[3]s' RETURNING *
)
INSERT INTO singularity.%[2]s TABLE moved;
ALTER TABLE singularity.step_checkpoints ATTACH PARTITION singularity.%[1]s FOR VALUES FROM (MINVALUE) TO ('%[3]s');
`

const selectGrants = `
SELECT format('GRANT %s ON singularity.step_checkpoints TO %s;', entry.privilege_type,
	CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(entry.grantee)) END)
FROM pg_class AS whole
CROSS JOIN LATERAL aclexplode(whole.relacl) AS entry
WHERE whole.oid = 'singularity.step_checkpoints'::regclass`

// grantsOfCheckpoints are the statements by which others may use the table.
func grantsOfCheckpoints(ctx context.Context, tx pgx.Tx) (string, error) {
	rows, err := tx.Query(ctx, selectGrants)
	if err != nil {
		return "", err
	}
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(grants, "\n"), err
}
