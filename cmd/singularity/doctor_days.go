package main

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence/postgres"
)

// checkDays looks whether the day that comes next has a partition, if days have
// any. Retention makes it two days before.
func checkDays(ctx context.Context, url string) (string, error) {
	days, err := postgres.ReadDays(ctx, url)
	if err != nil || days == nil {
		return tellDays(nil), err
	}
	tomorrow := days.At.Add(24 * time.Hour)
	for _, missing := range days.Missing() {
		if missing.From.Before(tomorrow) && missing.Until.After(tomorrow) {
			return "", fmt.Errorf("%s, so its rows are deleted one by one; see that retention runs, as a user who owns the tables, or run `singularity migrate partition`",
				comingDays(days))
		}
	}
	return tellDays(days), nil
}
