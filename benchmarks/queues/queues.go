// Package queues measures the job queues of Singularity and of other engines:
// how fast jobs that do nothing are added and drained, how soon one starts, and
// how soon the next one starts where one at a time may run.
package queues

import (
	"context"
	"fmt"
	"slices"

	"singularity/benchmarks/contender"
)

// The queues that every engine has.
const (
	// Many is the queue of which as many jobs run at once as there are workers.
	Many = "many"
	// Single is the queue of which one job runs at once.
	Single = "single"
)

// Engine has job queues.
type Engine interface {
	// Setup makes the schema in an empty database, begins to run what is added to
	// the queues, and describes the engine.
	Setup(ctx context.Context, setting Setting) (contender.Description, error)
	// Enqueue adds jobs to a queue with the quickest call that the engine has for so
	// many, numbered from 0 on.
	Enqueue(ctx context.Context, queue string, count int) error
	// Unfinished is the query that counts the jobs of a queue which have not ended
	// for the engine; $1 is the queue.
	Unfinished() string
	// Close stops what Setup began.
	Close(ctx context.Context) error
}

// Setting is what an engine is set up for.
type Setting struct {
	// DatabaseURL names an empty database with nobody else in it.
	DatabaseURL string
	// Workers is how many jobs of [Many] run at once.
	Workers int
	// Work is what each job does.
	Work func(ctx context.Context, job Job)
}

// Job is what the engines store of one.
type Job struct {
	Queue  string `json:"queue"`
	Number int    `json:"number"`
}

// jobs are those of one call.
func jobs(queue string, count int) []Job {
	list := make([]Job, count)
	for i := range list {
		list[i] = Job{queue, i}
	}
	return list
}

// Floor is no engine but what the database itself can do, and Singularity the one
// that is held against the others.
const (
	Floor       = "floor"
	Singularity = "singularity"
)

var engines = []struct {
	name string
	make func() Engine
}{
	{Floor, func() Engine { return &floor{} }},
	{Singularity, func() Engine { return &engine{} }},
	{"river", func() Engine { return &river{settings: riverDefault} }},
	{"river-tuned", func() Engine { return &river{settings: riverTuned} }},
	{"dbos", func() Engine { return &transact{} }},
	{"dbos-tuned", func() Engine { return &transact{polling: dbosPolling} }},
}

// Names are all engines, in the order of the report.
func Names() []string {
	var names []string
	for _, each := range engines {
		names = append(names, each.name)
	}
	return names
}

// New makes an engine.
func New(name string) (Engine, error) {
	i := slices.Index(Names(), name)
	if i < 0 {
		return nil, fmt.Errorf("engine %q is none of %q", name, Names())
	}
	return engines[i].make(), nil
}
