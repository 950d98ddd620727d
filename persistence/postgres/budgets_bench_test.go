//go:build linux

package postgres_test

import (
	"testing"

	"singularity/persistence"
)

// BenchmarkSpend does for each operation what one call of a model does: it spends
// from the budgets of a run, a day and a key, and corrects that.
func BenchmarkSpend(b *testing.B) {
	store := benchmarked(b)
	budgets := []persistence.Budget{
		{Name: "run", Limit: 1 << 60}, {Name: "day", Daily: true, Limit: 1 << 60}, {Name: "key", Daily: true, Limit: 1 << 60},
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			spent, err := store.Spend(b.Context(), budgets, 1000)
			if err == nil {
				err = store.Correct(b.Context(), budgets, spent, -900)
			}
			if err != nil || spent.Full != "" {
				b.Errorf("spent %+v, %v", spent, err)
				return
			}
		}
	})
}
