package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"singularity/persistence/postgres"
)

// migration is a step of the schema.
type migration struct {
	Number    int        `json:"number"`
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"applied_at"` // null while it is not applied
}

func (c *cli) migrateUp() *cobra.Command {
	return c.migrate("up", "Bring the schema up to date; any number of processes may do it at once",
		func(ctx context.Context, url string) ([]postgres.Migration, error) {
			applied, err := postgres.MigrateUp(ctx, url)
			if err == nil && len(applied) == 0 {
				fmt.Fprintln(c.stderr, "the schema is up to date")
			}
			return applied, err
		})
}

func (c *cli) migrateDown() *cobra.Command {
	return c.migrate("down", "Take the latest migration back, with what its tables hold",
		func(ctx context.Context, url string) ([]postgres.Migration, error) {
			undone, err := postgres.MigrateDown(ctx, url)
			if undone == nil {
				if err == nil {
					fmt.Fprintln(c.stderr, "there is no migration to take back")
				}
				return nil, err
			}
			return []postgres.Migration{*undone}, err
		})
}

func (c *cli) migrateStatus() *cobra.Command {
	return c.migrate("status", "List the migrations, and when each was applied, and say whether the checkpoints are partitioned",
		func(ctx context.Context, url string) ([]postgres.Migration, error) {
			list, err := postgres.MigrationStatus(ctx, url)
			if err != nil {
				return nil, err
			}
			days, err := postgres.ReadDays(ctx, url)
			if err == nil {
				fmt.Fprintln(c.stderr, tellDays(days))
			}
			return list, err
		})
}

// migrate is a command about the migrations that one call returns.
func (c *cli) migrate(name, short string, call func(ctx context.Context, url string) ([]postgres.Migration, error)) *cobra.Command {
	var database databaseFlags
	command := &cobra.Command{Use: name, Short: short, Args: arguments()}
	database.register(command.Flags())
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		if err := database.check(); err != nil {
			return err
		}
		found, err := call(ctx, database.direct())
		if err != nil {
			return database.explain(err)
		}
		list := make([]migration, len(found)) // never nil: an empty list is [] in JSON
		for i, m := range found {
			list[i] = migration(m)
		}
		return c.print(list, func(t *table) {
			t.row("NUMBER", "NAME", "APPLIED")
			for _, m := range list {
				t.row(m.Number, m.Name, m.AppliedAt)
			}
		})
	})
	return command
}
