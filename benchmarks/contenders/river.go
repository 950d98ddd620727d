package contenders

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"singularity/benchmarks/contender"
)

// riverSettings are how River is used.
type riverSettings struct {
	description   string
	fetchCooldown time.Duration // 0 is River's default
	connections   int32         // 0 is pgx's default
	// completeInTx ends the job in the transaction of its last step, instead of
	// leaving that to River, which collects jobs that ended.
	completeInTx bool
}

var (
	riverDefault = riverSettings{description: "defaults"}
	riverTuned   = riverSettings{
		description:   "FetchCooldown 1 ms, 40 connections",
		fetchCooldown: river.FetchCooldownMin,
		connections:   40,
	}
	riverTx = riverSettings{
		description:   riverTuned.description + ", jobs completed in their last step's transaction",
		fetchCooldown: riverTuned.fetchCooldown,
		connections:   riverTuned.connections,
		completeInTx:  true,
	}
)

// queue is River: a job with three resumable steps, each persisted in a
// transaction of its own before the next one begins. River has no call that
// waits for a result, so its events tell who waits, in this process.
type queue struct {
	settings riverSettings
	input    contender.State
	tickets  contender.Tickets
	pool     *pgxpool.Pool
	client   *river.Client[pgx.Tx]
	inserts  *contender.Gather[river.InsertManyParams]
	events   sync.WaitGroup
}

func (q *queue) Setup(ctx context.Context, job contender.Job) (contender.Description, error) {
	q.input = contender.NewState(job.StateBytes)
	description := contender.Description{
		Version: Version("github.com/riverqueue/river"),
		Settings: fmt.Sprintf("%s; %d workers; 3 ResumableStepCursor steps, each persisted; inserted in bulk; told of the end in process",
			q.settings.description, job.MaxInFlight),
	}
	var err error
	if q.pool, err = OpenPool(ctx, job.DatabaseURL, q.settings.connections); err != nil {
		return description, err
	}
	driver := riverpgxv5.New(q.pool)
	if err := MigrateRiver(ctx, driver); err != nil {
		return description, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &stepsWorker{queue: q})
	q.client, err = river.NewClient(driver, &river.Config{
		FetchCooldown: q.settings.fetchCooldown,
		Logger:        slog.New(slog.DiscardHandler),
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: job.MaxInFlight}},
		Workers:       workers,
	})
	if err != nil {
		return description, err
	}
	if !q.settings.completeInTx {
		q.follow()
	}
	q.inserts = contender.NewGather(ctx, job.MaxInFlight, func(ctx context.Context, jobs []river.InsertManyParams) error {
		_, err := q.client.InsertManyFast(ctx, jobs)
		return err
	})
	return description, q.client.Start(context.WithoutCancel(ctx))
}

// MigrateRiver makes River's schema.
func MigrateRiver(ctx context.Context, driver *riverpgxv5.Driver) error {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// follow passes on the results that River reports, until Close.
func (q *queue) follow() {
	events, cancel := q.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: 10_000,
		Kinds:    []river.EventKind{river.EventKindJobCompleted},
	})
	q.events.Go(func() {
		defer cancel()
		for event := range events { // River closes it when the client has stopped
			q.settle(event.Job)
		}
	})
}

// settle passes on what a completed job has recorded.
func (q *queue) settle(job *rivertype.JobRow) {
	var args stepsArgs
	if err := json.Unmarshal(job.EncodedArgs, &args); err != nil {
		q.tickets.Fail(fmt.Errorf("arguments of job %d: %w", job.ID, err))
		return
	}
	var outcome contender.Outcome
	outcome.Err = json.Unmarshal(job.Output(), &outcome.Result)
	q.tickets.Settle(args.Ticket, outcome)
}

func (q *queue) RunOne(ctx context.Context) error {
	ticket, outcome := q.tickets.Open()
	if err := q.inserts.Do(ctx, river.InsertManyParams{Args: stepsArgs{Ticket: ticket, Input: q.input}}); err != nil {
		return err
	}
	return contender.Await(ctx, q.input, outcome)
}

func (q *queue) Close(ctx context.Context) error {
	q.inserts.Close()
	err := q.client.Stop(ctx)
	q.events.Wait()
	q.pool.Close()
	return err
}

type stepsArgs struct {
	Ticket int64           `json:"ticket"`
	Input  contender.State `json:"input"`
}

func (stepsArgs) Kind() string { return "steps" }

type stepsWorker struct {
	river.WorkerDefaults[stepsArgs]

	queue *queue
}

func (w *stepsWorker) Work(ctx context.Context, job *river.Job[stepsArgs]) error {
	state := job.Args.Input
	for i := range contender.Steps {
		river.ResumableStepCursor(ctx, fmt.Sprintf("step_%d", i+1), nil, func(ctx context.Context, _ contender.State) error {
			state = state.Next()
			return w.persist(ctx, job, state)
		})
	}
	if w.queue.settings.completeInTx {
		return nil
	}
	return river.RecordOutput(ctx, state)
}

// persist commits the step that is under way with its state, and the whole job
// where that is wanted and the step is the last one.
func (w *stepsWorker) persist(ctx context.Context, job *river.Job[stepsArgs], state contender.State) error {
	tx, err := w.queue.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // nothing to do after the commit
	if _, err := river.ResumableSetStepCursorTx[*riverpgxv5.Driver](ctx, tx, job, state); err != nil {
		return err
	}
	if !w.queue.settings.completeInTx || state.Step < contender.Steps {
		return tx.Commit(ctx)
	}
	if err := river.RecordOutput(ctx, state); err != nil {
		return err
	}
	completed, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
	if err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	w.queue.settle(completed.JobRow)
	return nil
}
