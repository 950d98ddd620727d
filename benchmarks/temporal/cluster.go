package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"singularity/benchmarks/contender"
)

const (
	namespace = "bench"
	taskQueue = "bench"
	pollers   = 8 // the SDK's default of 2 is slower
)

// cluster is Temporal: a workflow of three activities. Local activities would
// be faster, but all three would be stored at once, when the last has ended.
type cluster struct {
	input  contender.State
	server temporal.Server
	client client.Client
	worker worker.Worker
}

func (c *cluster) Setup(ctx context.Context, job contender.Job) (contender.Description, error) {
	c.input = contender.NewState(job.StateBytes)
	description := contender.Description{
		Version: "server " + headers.ServerVersion,
		Settings: fmt.Sprintf("all services in one process, %d history shards, rate limits lifted; 3 activities, %d pollers",
			historyShards, pollers),
	}
	var address string
	var err error
	if c.server, address, err = startServer(ctx, job.DatabaseURL); err != nil {
		return description, err
	}
	if c.client, err = c.connect(ctx, address); err != nil {
		return description, err
	}
	c.worker = worker.New(c.client, taskQueue, worker.Options{
		MaxConcurrentActivityTaskPollers: pollers,
		MaxConcurrentWorkflowTaskPollers: pollers,
	})
	c.worker.RegisterWorkflow(threeActivities)
	c.worker.RegisterActivity(step)
	return description, c.worker.Start()
}

// connect registers the namespace and waits until the server knows it.
func (c *cluster) connect(ctx context.Context, address string) (client.Client, error) {
	options := client.Options{
		HostPort:  address,
		Namespace: namespace,
		Logger:    log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}
	namespaces, err := client.NewNamespaceClient(options)
	if err != nil {
		return nil, err
	}
	defer namespaces.Close()
	if err := namespaces.Register(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        namespace,
		WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}); err != nil {
		return nil, fmt.Errorf("register the namespace: %w", err)
	}
	connection, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for again := time.NewTicker(100 * time.Millisecond); ; {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		_, err := connection.ExecuteWorkflow(attempt, client.StartWorkflowOptions{TaskQueue: taskQueue}, threeActivities, c.input)
		done()
		if err == nil {
			return connection, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			connection.Close()
			return nil, fmt.Errorf("the namespace is not there after a minute: %w", err)
		}
	}
}

func threeActivities(ctx workflow.Context, state contender.State) (contender.State, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	for range contender.Steps {
		if err := workflow.ExecuteActivity(ctx, step, state).Get(ctx, &state); err != nil {
			return contender.State{}, err
		}
	}
	return state, nil
}

func step(_ context.Context, state contender.State) (contender.State, error) {
	return state.Next(), nil
}

func (c *cluster) RunOne(ctx context.Context) error {
	run, err := c.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: taskQueue}, threeActivities, c.input)
	if err != nil {
		return err
	}
	var output contender.State
	if err := run.Get(ctx, &output); err != nil {
		return err
	}
	return c.input.Finished(output)
}

func (c *cluster) Close(context.Context) error {
	c.worker.Stop()
	c.client.Close()
	return c.server.Stop()
}
