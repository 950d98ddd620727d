package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/sqlite"
)

// hubReader says where to read what a hub has learned.
type hubReader struct {
	hubDatabase
	dataDir string
}

func (r *hubReader) register(command *cobra.Command) {
	r.hubDatabase.register(command.Flags(), "that of --database-url, or else the one in --data-dir")
	registerDataDir(command.Flags(), &r.dataDir)
}

// policy reads a version of the policy, the newest for 0.
func (r *hubReader) policy(ctx context.Context, version int64) (*centralcloud.Policy, error) {
	store, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	policy, err := store.Policy(ctx, version)
	if errors.Is(err, hub.ErrNoPolicy) {
		err = fmt.Errorf("%w; a hub makes the first one as soon as it leads, and keeps each for 30 days", err)
	}
	return policy, errors.Join(err, store.Close())
}

func (r *hubReader) open(ctx context.Context) (hubStore, error) {
	if url := r.url(); url != "" {
		store, err := openHubDatabase(ctx, url, false)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.flag(), err)
		}
		return store, nil
	}
	if _, err := os.Stat(filepath.Join(r.dataDir, sqlite.File)); err != nil {
		return nil, usagef("there is no hub in %s; start one with singularity dev --centralcloud, or name its database with --database-url", r.dataDir)
	}
	return sqlite.Open(ctx, r.dataDir)
}

func (c *cli) centralcloudPolicy() *cobra.Command {
	var reader hubReader
	command := &cobra.Command{
		Use:   "policy [VERSION]",
		Short: "Show which model is chosen for which task, and how often",
		Long: `Show which model is chosen for which task, and how often, by the newest policy of
the hub or by an earlier one. Bucket * is a task of any complexity, task type * any
that has no row of its own. "centralcloud explain TASK_TYPE" says why.`,
		Args: optional("VERSION"),
	}
	reader.register(command)
	command.RunE = c.act(func(ctx context.Context, args []string) error {
		var version int64
		if len(args) == 1 {
			var err error
			if version, err = strconv.ParseInt(args[0], 10, 64); err != nil || version <= 0 {
				return usagef("%q is no version of a policy; expected a number above 0", args[0])
			}
		}
		policy, err := reader.policy(ctx, version)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "policy %d of %s; mode %s, held against %s\n", policy.Version, policy.MadeAt.Format(time.RFC3339), policy.Mode, policy.Reference)
		for _, row := range policy.Rows {
			if row.Held != "" {
				fmt.Fprintf(c.stderr, "%s, bucket %s, is held back: %s\n", row.TaskType, bucketText(row.Bucket), row.Held)
			}
		}
		return c.print(policy, func(t *table) { writePolicy(t, policy) })
	})
	return command
}

func writePolicy(t *table, policy *centralcloud.Policy) {
	t.row("TASK TYPE", "BUCKET", "MODEL", "SHARE", "SUCCESS", "CENTS", "CALLS", "BY SCORES", "COST VS REFERENCE", "SUCCESS VS REFERENCE")
	for _, row := range policy.Rows {
		for i, arm := range row.Arms {
			if arm.Weight == 0 {
				continue
			}
			scores, costs, success := "", "", ""
			if i == 0 {
				scores, costs, success = shareText(row.Scored), percentText(row.Expected.CostVsReference), percentText(row.Expected.SuccessVsReference)
			}
			t.row(row.TaskType, bucketText(row.Bucket), arm.String(), shareText(arm.Weight), shareText(arm.Success), centsText(arm.CostCents), arm.N, scores, costs, success)
		}
	}
}

func bucketText(bucket int) string {
	if bucket == centralcloud.AnyBucket {
		return "*"
	}
	return strconv.Itoa(bucket)
}

// timeoutText is how long a call may take; empty where the node alone says.
func timeoutText(millis int64) string {
	if millis == 0 {
		return ""
	}
	return fmt.Sprintf("%d ms", millis)
}

func shareText(share float64) string   { return fmt.Sprintf("%.1f %%", 100*share) }
func percentText(share float64) string { return fmt.Sprintf("%+.1f %%", 100*share) }
func centsText(cents float64) string   { return strconv.FormatFloat(cents, 'g', 4, 64) }

func (c *cli) centralcloudExplain() *cobra.Command {
	var reader hubReader
	var version int64
	command := &cobra.Command{
		Use:   "explain TASK_TYPE [BUCKET]",
		Short: "Say why which model is chosen for a task",
		Long: `Say why which model is chosen for a task: what is expected of each one's cost,
success and latency, how sure that is, from how many calls, and what led to its share.
BUCKET is how complex a request is, 0 to 2.`,
		Args: cobra.RangeArgs(1, 2),
	}
	reader.register(command)
	command.Flags().Int64Var(&version, "policy-version", 0, "by an earlier policy (default: the newest)")
	command.RunE = c.act(func(ctx context.Context, args []string) error {
		bucket := centralcloud.AnyBucket
		if len(args) == 2 {
			var err error
			if bucket, err = strconv.Atoi(args[1]); err != nil || bucket < 0 || bucket > 2 {
				return usagef("%q is no bucket; expected 0 (simple), 1 or 2 (complex)", args[1])
			}
		}
		policy, err := reader.policy(ctx, version)
		if err != nil {
			return err
		}
		row, found := policy.Row(args[0], bucket)
		if !found {
			return fmt.Errorf("policy %d has no row for %s: %w", policy.Version, args[0], hub.ErrNoPolicy)
		}
		told := explanation{
			Version: policy.Version, MadeAt: policy.MadeAt, Mode: policy.Mode, Reference: policy.Reference, Delta: policy.Delta, PolicyRow: row, Budget: policy.Budget,
			Drift: slices.DeleteFunc(slices.Clone(policy.DriftEvents), func(event centralcloud.DriftEvent) bool {
				return !slices.ContainsFunc(row.Arms, func(arm centralcloud.PolicyArm) bool { return arm.Arm == event.Arm })
			}),
		}
		return c.print(told, func(t *table) { told.write(t, args[0]) })
	})
	return command
}

// explanation is one row of a policy with what it rests on.
type explanation struct {
	Version   int64             `json:"version"`
	MadeAt    time.Time         `json:"made_at"`
	Mode      centralcloud.Mode `json:"mode"`
	Reference centralcloud.Arm  `json:"reference"`
	Delta     float64           `json:"delta"`
	centralcloud.PolicyRow
	Drift  []centralcloud.DriftEvent   `json:"drift_events"`
	Budget *centralcloud.BudgetAccount `json:"budget,omitempty"`
}

func (e explanation) write(t *table, task string) {
	t.row("POLICY", e.Version)
	t.row("MADE", e.MadeAt)
	t.row("MODE", string(e.Mode))
	t.row("REFERENCE", e.Reference.String())
	row := e.TaskType + ", bucket " + bucketText(e.Bucket)
	if e.TaskType != task {
		row += ": nothing is known of " + task
	}
	t.row("ROW", row)
	t.row("JUDGED CALLS", numberText(e.N)+", old ones counting less; "+shareText(e.Judged)+" of the answers were judged")
	if e.Judged > 0 {
		t.row("JUDGED BY", shareText(e.Scored)+" by scores, "+shareText(1-e.Scored)+" by the verdict of the step that asked")
	}
	t.row("EXPECTED", percentText(e.Expected.CostVsReference)+" cost and "+percentText(e.Expected.SuccessVsReference)+" success, held against the reference")
	names := make([]string, len(e.Fallback))
	for i, arm := range e.Fallback {
		names[i] = arm.String()
	}
	t.row("FALLBACK", cmp.Or(strings.Join(names, ", "), "none"))
	if e.Held != "" {
		t.row("HELD BACK", "the shares are those of an earlier policy: "+e.Held)
	}
	for _, event := range e.Drift {
		t.row("CHANGED", fmt.Sprintf("%s: %s %g, before %g, since %s (%d calls, %.1f standard deviations)", event.Arm, event.Kind, event.To, event.From, event.At.Format(time.RFC3339), event.N, event.Evidence))
	}
	if b := e.Budget; b != nil {
		t.row("BUDGET", fmt.Sprintf("%s of %s cents were spent in the last hour; a node that does not hear from the hub may spend %s in %d s",
			centsText(b.SpentCents), centsText(b.TargetCents), centsText(b.LeaseCents), centralcloud.EpochSeconds))
	}
	t.row()
	t.row("MODEL", "SHARE", "SUCCESS", "95 %", "CENTS", "P50", "P95", "TIMEOUT", "CALLS", "AVAILABLE", "WHY")
	for _, arm := range e.Arms {
		t.row(arm.String(), shareText(arm.Weight), shareText(arm.Success), fmt.Sprintf("%.2f-%.2f", arm.CI95[0], arm.CI95[1]), centsText(arm.CostCents),
			fmt.Sprintf("%d ms", arm.P50Millis), fmt.Sprintf("%d ms", arm.P95Millis), timeoutText(arm.TimeoutMillis), arm.N, shareText(arm.Availability), arm.Why)
	}
}
