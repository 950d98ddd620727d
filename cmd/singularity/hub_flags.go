package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"singularity"
	"singularity/centralcloud/pgmq"
)

// hubFlags say where the hub of a node is, and how often the two talk.
type hubFlags struct {
	url            string
	resultsEvery   time.Duration
	learningsEvery time.Duration
}

func (f *hubFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.url, "centralcloud-database-url", "",
		"the database of the hub that learns from all nodes which model to choose, as postgres://user@host/name (default: the node has no hub)")
	set.DurationVar(&f.resultsEvery, "results-every", 30*time.Second, "how often the hub is told of calls of models, when there were any")
	set.DurationVar(&f.learningsEvery, "learnings-every", 10*time.Second, "how often the hub is asked for what it has learned")
}

// connect makes a node's way to its hub, and what ends it after the node. The hub
// need not be there.
func (f *hubFlags) connect(ctx context.Context) (singularity.CentralCloud, func(), error) {
	switch {
	case f == nil || f.url == "":
		return singularity.CentralCloud{}, func() {}, nil
	case f.resultsEvery <= 0:
		return singularity.CentralCloud{}, nil, usagef("--results-every %s: expected a time above 0", f.resultsEvery)
	case f.learningsEvery <= 0:
		return singularity.CentralCloud{}, nil, usagef("--learnings-every %s: expected a time above 0", f.learningsEvery)
	}
	queue, err := pgmq.Connect(ctx, pgmq.Config{URL: f.url})
	if err != nil {
		return singularity.CentralCloud{}, nil, fmt.Errorf("--centralcloud-database-url: %w", err)
	}
	hub := singularity.CentralCloud{Queue: queue, ResultsEvery: f.resultsEvery, LearningsEvery: f.learningsEvery}
	return hub, func() { _ = queue.Close() }, nil // it has nothing to say
}
