package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/persistence"
)

const spend = `
INSERT INTO budgets (name, day, run_id, spent, opened_at)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name, day) DO UPDATE SET spent = spent + excluded.spent
RETURNING spent - ?4`

var errFull = errors.New("a budget has no room")

// Spend implements [persistence.Budgets].
func (s *Store) Spend(ctx context.Context, budgets []persistence.Budget, amount int64) (spent persistence.Spent, err error) {
	err = s.writer.transaction(ctx, func(t *tx) error {
		spent = persistence.Spent{Day: moment(t.at).Format(time.DateOnly)}
		for _, b := range budgets {
			var run any
			if !b.Run.IsZero() {
				run = b.Run.String()
			}
			var before int64
			err := t.query(func(row scanner) error { return row.Scan(&before) },
				spend, b.Name, b.Day(spent.Day), run, amount, t.at)
			if err != nil {
				return err
			}
			if before+amount > b.Limit {
				spent.Full, spent.Before = b.Name, before
				return errFull
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return persistence.Spent{}, fmt.Errorf("spend from budgets: %w", err)
	}
	return spent, nil
}

const correctBudget = `
UPDATE budgets
SET spent = spent + ?
WHERE name = ? AND day = ?`

// Correct implements [persistence.Budgets].
func (s *Store) Correct(ctx context.Context, budgets []persistence.Budget, spent persistence.Spent, amount int64) error {
	err := s.writer.transaction(ctx, func(t *tx) error {
		for _, b := range budgets {
			if _, err := t.exec(correctBudget, amount, b.Name, b.Day(spent.Day)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("correct budgets: %w", err)
	}
	return nil
}

// Budgets go with their runs.
const goneBudgets = `
SELECT old.name, old.day
FROM budgets AS old
WHERE old.run_id IS NOT NULL AND old.opened_at < ?1
	AND NOT EXISTS (SELECT 1 FROM workflow_runs AS run WHERE run.id = old.run_id)
ORDER BY old.opened_at
LIMIT ?2`

const deleteBudgets = `
DELETE FROM budgets
WHERE (name, day) IN (` + goneBudgets + `)`
