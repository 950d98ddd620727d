package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// All nodes write the rows of budgets, so that nobody waits for the disk, or for
// a client, while one is locked: a change goes to the server in one piece. What a
// server that crashes forgets is what was spent last, for a few hundred
// milliseconds.
const changeAsynchronously = `SET LOCAL synchronous_commit = off`

// changeBudgets carries out statements as one transaction, in one round trip.
func (s *Store) changeBudgets(ctx context.Context, queue func(*pgx.Batch)) error {
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN`)
	batch.Queue(changeAsynchronously)
	queue(batch)
	batch.Queue(`COMMIT`)
	return translate(s.afterClose(s.readers.SendBatch(ctx, batch).Close()))
}

// today is the day of daily budgets.
const today = `to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')`

const openBudgets = `
INSERT INTO singularity.budgets (name, day, run_id, spent, opened_at)
SELECT wanted.name, CASE WHEN wanted.daily THEN ` + today + ` ELSE '' END, nullif(wanted.run, '')::uuid, 0, now()
FROM unnest($1::text[], $2::text[], $3::boolean[]) AS wanted (name, run, daily)
ORDER BY wanted.name
ON CONFLICT (name, day) DO NOTHING`

// Rows are locked in the order of their names, and read as they are then.
const spend = `
WITH held AS MATERIALIZED (
	SELECT budget.name, budget.day, budget.spent, wanted.most
	FROM singularity.budgets AS budget
	JOIN unnest($1::text[], $2::boolean[], $3::bigint[]) AS wanted (name, daily, most)
		ON budget.name = wanted.name AND budget.day = CASE WHEN wanted.daily THEN ` + today + ` ELSE '' END
	ORDER BY budget.name
	FOR NO KEY UPDATE OF budget
), lacking AS MATERIALIZED (
	SELECT name, spent
	FROM held
	WHERE spent > most - $4
	ORDER BY name
	LIMIT 1
), added AS (
	UPDATE singularity.budgets AS budget
	SET spent = budget.spent + $4
	FROM held
	WHERE budget.name = held.name AND budget.day = held.day AND NOT EXISTS (SELECT FROM lacking)
)
SELECT ` + today + `, coalesce((SELECT name FROM lacking), ''), coalesce((SELECT spent FROM lacking), 0)`

// Spend implements [persistence.Budgets].
func (s *Store) Spend(ctx context.Context, budgets []persistence.Budget, amount int64) (persistence.Spent, error) {
	var names, runs []string
	var daily []bool
	var limits []int64
	for _, b := range budgets {
		run := ""
		if !b.Run.IsZero() {
			run = b.Run.String()
		}
		names, runs, daily, limits = append(names, b.Name), append(runs, run), append(daily, b.Daily), append(limits, b.Limit)
	}
	var spent persistence.Spent
	err := s.changeBudgets(ctx, func(batch *pgx.Batch) {
		batch.Queue(openBudgets, names, runs, daily)
		batch.Queue(spend, names, daily, limits, amount).QueryRow(func(row pgx.Row) error {
			return row.Scan(&spent.Day, &spent.Full, &spent.Before)
		})
	})
	if err != nil {
		return persistence.Spent{}, fmt.Errorf("spend from budgets %q: %w", names, err)
	}
	return spent, nil
}

const correctBudgets = `
UPDATE singularity.budgets AS budget
SET spent = budget.spent + $3
FROM (
	SELECT kept.name, kept.day
	FROM singularity.budgets AS kept
	JOIN unnest($1::text[], $2::text[]) AS wanted (name, day) ON kept.name = wanted.name AND kept.day = wanted.day
	ORDER BY kept.name
	FOR NO KEY UPDATE OF kept
) AS locked
WHERE budget.name = locked.name AND budget.day = locked.day`

// Correct implements [persistence.Budgets].
func (s *Store) Correct(ctx context.Context, budgets []persistence.Budget, spent persistence.Spent, amount int64) error {
	var names, days []string
	for _, b := range budgets {
		names, days = append(names, b.Name), append(days, b.Day(spent.Day))
	}
	err := s.changeBudgets(ctx, func(batch *pgx.Batch) { batch.Queue(correctBudgets, names, days, amount) })
	if err != nil {
		return fmt.Errorf("correct budgets %q: %w", names, err)
	}
	return nil
}

// Budgets go with their runs.
const deleteBudgets = `
DELETE FROM singularity.budgets
WHERE (name, day) IN (
	SELECT old.name, old.day
	FROM singularity.budgets AS old
	WHERE old.run_id IS NOT NULL AND old.opened_at < now() - $1::interval
		AND NOT EXISTS (SELECT FROM singularity.workflow_runs AS run WHERE run.id = old.run_id)
	ORDER BY old.opened_at
	LIMIT $2
	FOR UPDATE SKIP LOCKED
)`
