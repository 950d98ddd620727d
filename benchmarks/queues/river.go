package queues

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	upstream "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contenders"
)

// riverSettings are how River is used; zero is its default.
type riverSettings struct {
	description   string
	fetchCooldown time.Duration
	pollInterval  time.Duration
	connections   int32
}

var (
	riverDefault = riverSettings{description: "defaults"}
	riverTuned   = riverSettings{
		description:   "FetchCooldown and FetchPollInterval 1 ms, their least; 40 connections",
		fetchCooldown: upstream.FetchCooldownMin,
		pollInterval:  upstream.FetchPollIntervalMin,
		connections:   40,
	}
)

// river is River, one client that is told by LISTEN. It has no limit over all
// clients: the single queue has one worker in this one.
type river struct {
	settings riverSettings
	pool     *pgxpool.Pool
	client   *upstream.Client[pgx.Tx]
}

func (r *river) Setup(ctx context.Context, setting Setting) (contender.Description, error) {
	description := contender.Description{
		Version:  contenders.Version("github.com/riverqueue/river"),
		Settings: fmt.Sprintf("%s; %d workers, and a queue with MaxWorkers 1; InsertManyFast", r.settings.description, setting.Workers),
	}
	var err error
	if r.pool, err = contenders.OpenPool(ctx, setting.DatabaseURL, r.settings.connections); err != nil {
		return description, err
	}
	driver := riverpgxv5.New(r.pool)
	if err := contenders.MigrateRiver(ctx, driver); err != nil {
		return description, err
	}
	workers := upstream.NewWorkers()
	upstream.AddWorker(workers, upstream.WorkFunc(func(ctx context.Context, job *upstream.Job[riverJob]) error {
		setting.Work(ctx, Job(job.Args))
		return nil
	}))
	r.client, err = upstream.NewClient(driver, &upstream.Config{
		FetchCooldown:     r.settings.fetchCooldown,
		FetchPollInterval: r.settings.pollInterval,
		Logger:            slog.New(slog.DiscardHandler),
		Queues:            map[string]upstream.QueueConfig{Many: {MaxWorkers: setting.Workers}, Single: {MaxWorkers: 1}},
		Workers:           workers,
	})
	if err != nil {
		return description, err
	}
	return description, r.client.Start(context.WithoutCancel(ctx))
}

func (r *river) Enqueue(ctx context.Context, queue string, count int) error {
	options := &upstream.InsertOpts{Queue: queue}
	if count == 1 {
		_, err := r.client.Insert(ctx, riverJob{Queue: queue}, options)
		return err
	}
	inserts := make([]upstream.InsertManyParams, count)
	for i, job := range jobs(queue, count) {
		inserts[i] = upstream.InsertManyParams{Args: riverJob(job), InsertOpts: options}
	}
	_, err := r.client.InsertManyFast(ctx, inserts)
	return err
}

func (*river) Unfinished() string {
	return `SELECT count(*) FROM river_job WHERE queue = $1 AND state <> 'completed'`
}

func (r *river) Close(ctx context.Context) error {
	err := r.client.Stop(ctx)
	r.pool.Close()
	return err
}

type riverJob Job

func (riverJob) Kind() string { return "job" }
