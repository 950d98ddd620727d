package persistence

import (
	"context"

	"singularity/workflow"
)

// Budgets keep what was spent against limits, whatever it is, over all nodes.
// Only amounts are looked at: what is known of a budget is one row.
type Budgets interface {
	// Spend adds a positive amount to each of the budgets, or to none of them when
	// one would then exceed its limit: it says which.
	Spend(ctx context.Context, budgets []Budget, amount int64) (Spent, error)
	// Correct adds an amount, which may be negative, to the budgets that something
	// was spent from, on the day on which it was, whatever their limits.
	Correct(ctx context.Context, budgets []Budget, spent Spent, amount int64) error
}

// Budget is what a limit is on. No two of one call have the same name.
type Budget struct {
	Name  string
	Run   workflow.RunID // whose budget it is, and with which it goes; zero for nobody's
	Daily bool           // it begins anew each day, UTC, by the clock of the database
	Limit int64
}

// Spent says what became of a call of [Budgets].Spend.
type Spent struct {
	Day    string // of the daily budgets, as 2006-01-02
	Full   string // the budget that had no room; then nothing was spent
	Before int64  // what was spent of that one
}

// Day is the day of a budget's row: today's for a daily one, none for another.
func (b Budget) Day(today string) string {
	if b.Daily {
		return today
	}
	return ""
}
