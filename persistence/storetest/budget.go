package storetest

import (
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var budgetStories = []story{
	{name: "budgets/what was spent counts until it is full", tell: budgetFull},
	{name: "budgets/all are spent from, or none", tell: budgetsTogether},
	{name: "budgets/a correction counts, over the limit too", tell: budgetCorrected},
	{name: "budgets/a daily one begins anew, another does not", tell: budgetDays},
	{name: "budgets/no limit is exceeded by many at once", tell: budgetContested},
	{name: "budgets/those of runs that are gone are pruned", tell: budgetsPruned},
}

// spend spends from budgets and expects the one that is full, if any.
func (f *fixture) spend(amount int64, full string, before int64, budgets ...persistence.Budget) persistence.Spent {
	f.Helper()
	spent, err := f.store.Spend(f.Context(), budgets, amount)
	if err != nil {
		f.Fatalf("spend %d: %v", amount, err)
	}
	if spent.Full != full || spent.Before != before {
		f.Errorf("spend %d: full is %q with %d, want %q with %d", amount, spent.Full, spent.Before, full, before)
	}
	if _, err := time.Parse(time.DateOnly, spent.Day); err != nil {
		f.Errorf("spent on %q, want a day", spent.Day)
	}
	return spent
}

func (f *fixture) correct(spent persistence.Spent, amount int64, budgets ...persistence.Budget) {
	f.Helper()
	if err := f.store.Correct(f.Context(), budgets, spent, amount); err != nil {
		f.Fatalf("correct by %d: %v", amount, err)
	}
}

func budgetFull(f *fixture) {
	total := persistence.Budget{Name: "total", Limit: 10}
	f.spend(6, "", 0, total)
	f.spend(5, "total", 6, total)
	f.spend(4, "", 0, total)
	f.spend(1, "total", 10, total)
	total.Limit = 11
	f.spend(1, "", 0, total)
}

func budgetsTogether(f *fixture) {
	f.withinADay()
	large := persistence.Budget{Name: "a", Limit: 100}
	small := persistence.Budget{Name: "b", Daily: true, Limit: 10}
	f.spend(8, "", 0, large, small)
	f.spend(5, "b", 8, large, small)
	f.spend(5, "b", 8, small, large)
	large.Limit = 9
	f.spend(2, "a", 8, large)
	f.spend(1, "", 0, large)
}

func budgetCorrected(f *fixture) {
	f.withinADay()
	day, run := persistence.Budget{Name: "day", Daily: true, Limit: 10}, persistence.Budget{Name: "run", Limit: 10}
	held := f.spend(10, "", 0, day, run)
	f.correct(held, -7, day, run)
	f.spend(8, "day", 3, day)
	f.spend(8, "run", 3, run)
	f.correct(held, 20, day)
	f.spend(1, "day", 23, day)
	f.spend(7, "", 0, run)
}

func budgetDays(f *fixture) {
	f.withinADay()
	day := persistence.Budget{Name: "day", Daily: true, Limit: 10}
	held := f.spend(10, "", 0, day)
	yesterday := persistence.Spent{Day: "2001-02-03"}
	f.correct(yesterday, -10, day) // of another day, which has no row
	f.spend(1, "day", 10, day)
	always := day
	always.Daily = false
	f.spend(10, "", 0, always)
	f.correct(held, -10, day)
	f.spend(1, "", 0, day)
	f.spend(1, "day", 10, always)
}

func budgetContested(f *fixture) {
	f.withinADay()
	const callers, each, limit = 8, 10, 25
	budgets := []persistence.Budget{{Name: "a", Daily: true, Limit: limit}, {Name: "b", Limit: 1000}}
	var calls sync.WaitGroup
	granted := make(chan bool, callers*each)
	for i := range callers {
		calls.Go(func() {
			mine := budgets
			if i%2 == 1 {
				mine = []persistence.Budget{budgets[1], budgets[0]}
			}
			for range each {
				spent, err := f.store.Spend(f.Context(), mine, 1)
				if err != nil {
					f.Errorf("spend: %v", err)
				}
				if err == nil && spent.Full == "" {
					granted <- true
				}
			}
		})
	}
	calls.Wait()
	if len(granted) != limit {
		f.Errorf("%d of %d were granted, want %d", len(granted), callers*each, limit)
	}
	f.spend(1000, "b", limit, budgets[1])
}

func budgetsPruned(f *fixture) {
	gone := persistence.Budget{Name: "run/gone", Run: workflow.NewRunID(), Limit: 10}
	nobodys := persistence.Budget{Name: "total", Limit: 10}
	kept := persistence.Budget{Name: "run/living", Run: f.stored(), Limit: 10}
	for _, b := range []persistence.Budget{gone, nobodys, kept} {
		f.spend(10, "", 0, b)
	}
	f.prune(ages(expired, expired), 100)
	f.spend(10, "", 0, gone)
	f.spend(10, "total", 10, nobodys)
	f.spend(10, "run/living", 10, kept)
}
