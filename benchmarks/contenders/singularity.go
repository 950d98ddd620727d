package contenders

import (
	"context"
	"fmt"
	"log/slog"

	"singularity"
	"singularity/benchmarks/contender"
	"singularity/workflow"
)

// engine is Singularity: a checkpointed workflow of three steps.
type engine struct {
	engine   *singularity.Engine
	workflow *workflow.Workflow[contender.State, contender.State]
	input    contender.State
}

func (e *engine) Setup(ctx context.Context, job contender.Job) (_ contender.Description, err error) {
	e.input = contender.NewState(job.StateBytes)
	var steps []workflow.Step[contender.State]
	for i := range contender.Steps {
		steps = append(steps, workflow.Do(fmt.Sprintf("step_%d", i+1), func(_ context.Context, s *contender.State) error {
			*s = s.Next()
			return nil
		}))
	}
	e.workflow = workflow.New("bench", steps...)
	e.engine, err = singularity.Open(ctx, singularity.Config{
		DatabaseURL: job.DatabaseURL,
		Migrate:     true,
		Queues:      map[string]int{"default": job.MaxInFlight},
		Logger:      slog.New(slog.DiscardHandler),
	}, e.workflow)
	return contender.Description{
		Version:  "this tree",
		Settings: fmt.Sprintf("defaults; %d slots", job.MaxInFlight),
	}, err
}

func (e *engine) RunOne(ctx context.Context) error {
	run, err := e.workflow.Start(ctx, e.engine, e.input)
	if err != nil {
		return err
	}
	output, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	return e.input.Finished(output)
}

func (e *engine) Close(ctx context.Context) error {
	return e.engine.Close(ctx)
}
