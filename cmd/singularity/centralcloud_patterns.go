package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// lessons reads what the hub teaches besides the policy.
func (r *hubReader) lessons(ctx context.Context) ([]centralcloud.Lesson, error) {
	store, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	lessons, err := store.Lessons(ctx)
	return lessons, errors.Join(err, store.Close())
}

// lesson reads what the hub teaches of a type of which there is one, nil when it
// teaches none.
func (r *hubReader) lesson(ctx context.Context, kind string) (document []byte, err error) {
	lessons, err := r.lessons(ctx)
	for _, lesson := range lessons {
		if lesson.Type == kind {
			document = lesson.Document
		}
	}
	return document, err
}

func (c *cli) centralcloudPatterns() *cobra.Command {
	var reader hubReader
	command := &cobra.Command{
		Use:   "patterns",
		Short: "Show what stands out: failing and slow steps, new errors, useless retries, timeouts, duplicate calls",
		Long: `Show what stands out in the calls of the last six hours: steps that fail more
often or take longer than others do with the same model, errors that are new or
suddenly frequent, retries that almost never help, timeouts that would fit, and
steps that ask the same again, with what keeping the answers would save. All of
these are so in two halves of the nodes. What does not hold any more is not shown. docs/centralcloud.md has the rules.`,
		Args: arguments(),
	}
	reader.register(command)
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		lessons, err := reader.lessons(ctx)
		if err != nil {
			return err
		}
		holding, err := patterns.Holding(lessons)
		if err != nil {
			return err
		}
		return c.print(holding, func(t *table) {
			t.row("KIND", "CALLS", "VALUE", "INTERVAL", "UNIT", "FIRST SEEN", "RULE", "WHAT")
			for _, f := range holding {
				t.row(string(f.Kind), f.N, numberText(f.Value), numberText(f.Interval[0])+"-"+numberText(f.Interval[1]), f.Unit, f.FirstSeen, f.Rule, f.Text)
			}
		})
	})
	return command
}

func (c *cli) centralcloudBenchmarks() *cobra.Command {
	var reader hubReader
	command := &cobra.Command{
		Use:   "benchmarks [TASK_TYPE]",
		Short: "Show what each model is worth: success, cost, latency, errors",
		Long: `Show what each model was worth in the last six hours, at each task type or at one:
how often its answers were good, what a call and a good answer cost, how long calls
took, and which share of them failed how. At one task, BETTER THAN has the
probability that it succeeds more often than the models called most there. Task
type * is all of them together, with the ABILITY of each model apart from how hard
its tasks were: the logarithm of its odds above those of the average model.`,
		Args: optional("TASK_TYPE"),
	}
	reader.register(command)
	command.RunE = c.act(func(ctx context.Context, args []string) error {
		benchmarks := patterns.Benchmarks{Models: []patterns.Benchmark{}}
		document, err := reader.lesson(ctx, centralcloud.TypePerformanceBenchmark)
		if document != nil && err == nil {
			benchmarks, err = patterns.DecodeBenchmarks(document)
		}
		if err != nil {
			return err
		}
		if len(args) == 1 {
			benchmarks.Models = slices.DeleteFunc(benchmarks.Models, func(b patterns.Benchmark) bool { return b.TaskType != args[0] })
		}
		if !benchmarks.MadeAt.IsZero() {
			fmt.Fprintf(c.stderr, "rule %d, as of %s\n", benchmarks.Rule, benchmarks.MadeAt.Format(time.RFC3339))
		}
		return c.print(benchmarks, func(t *table) { writeBenchmarks(t, benchmarks.Models) })
	})
	return command
}

func writeBenchmarks(t *table, models []patterns.Benchmark) {
	t.row("TASK TYPE", "MODEL", "CALLS", "JUDGED", "SUCCESS", "95 %", "ABILITY", "BETTER THAN", "CENTS", "CENTS A SUCCESS", "P50", "P95", "P99", "FIRST SEEN", "ERRORS")
	for _, b := range models {
		perSuccess := ""
		if b.CostPerSuccessCents != nil {
			perSuccess = centsText(*b.CostPerSuccessCents)
		}
		var mix []string
		for _, class := range slices.Sorted(maps.Keys(b.Errors)) {
			mix = append(mix, class+" "+shareText(b.Errors[class]))
		}
		ability := ""
		if b.Ability != nil {
			ability = fmt.Sprintf("%.2f +- %.2f", b.Ability.Value, b.Ability.Deviation)
		}
		var rivals []string
		for _, rival := range slices.Sorted(maps.Keys(b.BetterThan)) {
			rivals = append(rivals, rival+" "+shareText(b.BetterThan[rival]))
		}
		t.row(b.TaskType, b.String(), b.Calls, b.N, shareText(b.Success), fmt.Sprintf("%.2f-%.2f", b.CI95[0], b.CI95[1]),
			ability, strings.Join(rivals, ", "), centsText(b.CostCents), perSuccess, fmt.Sprintf("%d ms", b.P50Millis), fmt.Sprintf("%d ms", b.P95Millis), fmt.Sprintf("%d ms", b.P99Millis),
			b.FirstSeen, cmp.Or(strings.Join(mix, ", "), "none"))
	}
}

func numberText(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
