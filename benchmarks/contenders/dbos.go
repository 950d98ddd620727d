package contenders

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"singularity/benchmarks/contender"
)

// transact is DBOS Transact for Go, its workflows started directly: its
// database queues are slower.
type transact struct {
	dbos  dbos.Context
	input contender.State
}

func (t *transact) Setup(ctx context.Context, job contender.Job) (contender.Description, error) {
	t.input = contender.NewState(job.StateBytes)
	var err error
	t.dbos, err = dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{
		AppName:     "bench",
		DatabaseURL: job.DatabaseURL,
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return contender.Description{}, err
	}
	dbos.RegisterWorkflow(t.dbos, threeSteps)
	return contender.Description{
		Version:  Version("github.com/dbos-inc/dbos-transact-golang"),
		Settings: "defaults; started directly, not by a queue",
	}, dbos.Launch(t.dbos)
}

func threeSteps(ctx dbos.Context, state contender.State) (contender.State, error) {
	for i := range contender.Steps {
		var err error
		state, err = dbos.RunAsStep(ctx, func(context.Context) (contender.State, error) {
			return state.Next(), nil
		}, dbos.WithStepName(fmt.Sprintf("step_%d", i+1)))
		if err != nil {
			return contender.State{}, err
		}
	}
	return state, nil
}

func (t *transact) RunOne(context.Context) error {
	run, err := dbos.RunWorkflow(t.dbos, threeSteps, t.input)
	if err != nil {
		return err
	}
	output, err := run.GetResult()
	if err != nil {
		return err
	}
	return t.input.Finished(output)
}

func (t *transact) Close(context.Context) error {
	return dbos.Shutdown(t.dbos, 10*time.Second)
}
