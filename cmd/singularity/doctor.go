package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// finding is what one look of the doctor found.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what is wrong, or how it stands
}

func (c *cli) doctor() *cobra.Command {
	var flags sharedFlags
	var dataDir string
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would keep a node from working",
		Long: `Look for what would keep a node from working. Give it the flags that "singularity
dev" or "singularity node" gets: with a --database-url it looks at that database
instead of a folder, at what lies between the node and the others that use it, and
at the hub that it learns from.
It changes nothing; the exit code is 1 when something is wrong.`,
		Args: arguments(),
	}
	set := command.Flags()
	registerDataDir(set, &dataDir)
	flags.register(set)
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		var findings []finding
		var living []livingNode
		if flags.database.url == "" {
			findings = lookAtFolder(ctx, dataDir)
		} else {
			var name string
			findings, living, name = lookAtPostgres(ctx, flags.database, flags.migrate)
			flags.cluster.name = cmp.Or(flags.cluster.name, name)
			findings = append(findings, lookAtCluster(ctx, flags.cluster, flags.http.tlsDir, living)...)
		}
		findings = append(findings, lookAtHub(ctx, flags, dataDir, living)...)
		findings = append(findings,
			look("address", func() (string, error) { return checkAddress(ctx, flags.http) }),
			look("provider", func() (string, error) { return c.checkProvider(flags.models) }),
		)
		if flags.http.tlsDir != "" {
			findings = append(findings, look("certificate", func() (string, error) { return checkCertificate(flags.http.tlsDir) }))
		}
		err := c.print(findings, func(t *table) {
			t.row("CHECK", "RESULT", "DETAIL")
			for _, found := range findings {
				result := "ok"
				if !found.OK {
					result = "FAULT"
				}
				t.row(found.Check, result, found.Detail)
			}
		})
		return errors.Join(err, faultsOf(findings))
	})
	return command
}

// lookAtFolder looks at the place of an embedded database.
func lookAtFolder(ctx context.Context, dir string) []finding {
	return []finding{
		look("data directory", func() (string, error) { return checkDirectory(dir) }),
		look("database", func() (string, error) { return checkDatabase(ctx, dir) }),
		look("clock", func() (string, error) { return checkClock(dir, time.Now()) }),
	}
}

func look(check string, at func() (detail string, fault error)) finding {
	detail, fault := at()
	if fault != nil {
		return finding{check, false, fault.Error()}
	}
	return finding{check, true, detail}
}

// faultsOf names each fault.
func faultsOf(findings []finding) error {
	var faults []error
	for _, found := range findings {
		if !found.OK {
			faults = append(faults, fmt.Errorf("%s: %s", found.Check, found.Detail))
		}
	}
	return errors.Join(faults...)
}

// checkProvider looks whether models can be asked. It does not ask them: that
// may cost money.
func (c *cli) checkProvider(flags modelFlags) (string, error) {
	models, err := c.models(flags, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	var known []string
	for _, vendor := range vendors {
		for _, variable := range vendor.variables() {
			known = append(known, variable+" is "+c.whetherSet(variable))
		}
	}
	return models.about() + "; " + strings.Join(known, ", "), nil
}

// whetherSet says so without showing the value.
func (c *cli) whetherSet(variable string) string {
	if value, _ := c.env(variable); value != "" {
		return "set"
	}
	return "not set"
}
