package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// Budgets are rows that all nodes write: nobody waits for the disk while a row is
// locked. What a server that crashes forgets is what was spent last, for a few
// hundred milliseconds.
const spendAsynchronously = `SET LOCAL synchronous_commit = off`

// Rows are locked in the order of their names.
const spend = `
INSERT INTO singularity.budgets AS budget (name, day, run_id, spent, opened_at)
SELECT wanted.name, CASE WHEN wanted.daily THEN to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') ELSE '' END,
	nullif(wanted.run, '')::uuid, $4, now()
FROM unnest($1::text[], $2::text[], $3::boolean[]) AS wanted (name, run, daily)
ORDER BY wanted.name
ON CONFLICT (name, day) DO UPDATE SET spent = budget.spent + excluded.spent
RETURNING name, spent - $4, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')`

var errFull = errors.New("a budget has no room")

// Spend implements [persistence.Budgets].
func (s *Store) Spend(ctx context.Context, budgets []persistence.Budget, amount int64) (spent persistence.Spent, err error) {
	limits := make(map[string]int64, len(budgets))
	var names, runs []string
	var daily []bool
	for _, b := range budgets {
		limits[b.Name] = b.Limit
		run := ""
		if !b.Run.IsZero() {
			run = b.Run.String()
		}
		names, runs, daily = append(names, b.Name), append(runs, run), append(daily, b.Daily)
	}
	err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, spendAsynchronously); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, spend, names, runs, daily, amount)
		if err != nil {
			return err
		}
		var name string
		var before int64
		_, err = pgx.ForEachRow(rows, []any{&name, &before, &spent.Day}, func() error {
			if spent.Full == "" && before+amount > limits[name] {
				spent.Full, spent.Before = name, before
			}
			return nil
		})
		if err == nil && spent.Full != "" {
			err = errFull
		}
		return err
	})
	if err != nil && !errors.Is(err, errFull) {
		return persistence.Spent{}, fmt.Errorf("spend from budgets %q: %w", names, translate(s.afterClose(err)))
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
	err := pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, spendAsynchronously); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, correctBudgets, names, days, amount)
		return err
	})
	if err != nil {
		return fmt.Errorf("correct budgets %q: %w", names, translate(s.afterClose(err)))
	}
	return nil
}

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

// pruneBudgets deletes some budgets of runs that are gone.
func (s *Store) pruneBudgets(ctx context.Context, age time.Duration) error {
	return s.query(ctx, nil, deleteBudgets, age, pruneAtOnce)
}
