package queues

import (
	"context"
	"fmt"
	"log/slog"

	"singularity"
	"singularity/benchmarks/contender"
	"singularity/workflow"
)

// engine is Singularity: a checkpointed workflow of one step.
type engine struct {
	engine   *singularity.Engine
	workflow *workflow.Workflow[Job, Job]
}

func (e *engine) Setup(ctx context.Context, setting Setting) (contender.Description, error) {
	e.workflow = workflow.New("job", workflow.Do("work", func(ctx context.Context, job *Job) error {
		setting.Work(ctx, *job)
		return nil
	}))
	description := contender.Description{
		Version:  "this tree",
		Settings: fmt.Sprintf("defaults; %d slots, and a queue with global limit 1; StartMany", setting.Workers),
	}
	var err error
	e.engine, err = singularity.Open(ctx, singularity.Config{
		DatabaseURL: setting.DatabaseURL,
		Migrate:     true,
		Queues:      map[string]int{Many: setting.Workers, Single: setting.Workers},
		Logger:      slog.New(slog.DiscardHandler),
	}, e.workflow)
	if err != nil {
		return description, err
	}
	_, err = e.engine.SetQueue(ctx, Single, workflow.QueueChange{GlobalLimit: new(1)})
	return description, err
}

func (e *engine) Enqueue(ctx context.Context, queue string, count int) error {
	if count == 1 {
		_, err := e.workflow.StartWith(ctx, e.engine, Job{Queue: queue}, workflow.Options{Queue: queue})
		return err
	}
	_, err := e.workflow.StartMany(ctx, e.engine, jobs(queue, count), workflow.Options{Queue: queue})
	return err
}

func (*engine) Unfinished() string {
	return `SELECT count(*) FROM singularity.workflow_runs WHERE queue = $1 AND state <> 'completed'`
}

func (e *engine) Close(ctx context.Context) error { return e.engine.Close(ctx) }
