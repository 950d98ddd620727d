package contenders

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/benchmarks/contender"
)

// pgflowSettings are those of pgflow's edge worker.
type pgflowSettings struct {
	workers   int
	batchSize int // messages a poll may take
}

var (
	pgflowDefault = pgflowSettings{workers: 1, batchSize: 10}
	pgflowTuned   = pgflowSettings{workers: 4, batchSize: 50}
)

// These are defaults of the edge worker, too.
const (
	pgflowConnections    = 4 // of each worker
	pgflowConcurrent     = 10
	pgflowVisibility     = 2   // seconds
	pgflowPollSeconds    = 2   // how long a poll waits for messages
	pgflowPollIntervalMs = 100 // how often it looks meanwhile
)

// flow is pgflow's SQL core, with its edge worker's loop in Go: poll, start the
// tasks, complete them concurrently, and poll again when all are complete.
// pgflow has no call that waits for a result, so the worker that completes the
// last step tells who waits, in this process.
type flow struct {
	sql      string
	settings pgflowSettings
	input    contender.State
	tickets  contender.Tickets
	pool     *pgxpool.Pool
	starts   *contender.Gather[string]
	stop     context.CancelFunc
	workers  sync.WaitGroup
}

//go:embed pgmq.sql
var pgmqFixture string

// createPgmq is the one thing in pgflow's SQL that needs the real extension.
const createPgmq = `CREATE EXTENSION IF NOT EXISTS "pgmq" WITH SCHEMA "pgmq";`

const createFlow = `
	SELECT pgflow.create_flow('bench');
	SELECT pgflow.add_step('bench', 'step_1');
	SELECT pgflow.add_step('bench', 'step_2', ARRAY['step_1']);
	SELECT pgflow.add_step('bench', 'step_3', ARRAY['step_2'])`

func (f *flow) Setup(ctx context.Context, job contender.Job) (contender.Description, error) {
	f.input = contender.NewState(job.StateBytes)
	description := contender.Description{
		Version: "@pgflow/core 0.8.1",
		Settings: fmt.Sprintf("%d workers, batches of %d, poll interval %d ms; pgmq 1.5 is a fixture, realtime does nothing; started in bulk; told of the end in process",
			f.settings.workers, f.settings.batchSize, pgflowPollIntervalMs),
	}
	var err error
	if f.pool, err = OpenPool(ctx, job.DatabaseURL, int32(pgflowConnections*f.settings.workers)); err != nil {
		return description, err
	}
	if err := f.migrate(ctx); err != nil {
		return description, err
	}
	f.starts = contender.NewGather(ctx, job.MaxInFlight, f.startFlows)
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	for range f.settings.workers {
		f.workers.Go(func() {
			if err := f.work(ctx); err != nil {
				f.tickets.Fail(fmt.Errorf("worker: %w", err))
			}
		})
	}
	return description, nil
}

func (f *flow) migrate(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(f.sql, "*.sql"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no SQL of pgflow in %q; `npm ci --ignore-scripts` in the folder pgflow brings it", f.sql)
	}
	if _, err := f.pool.Exec(ctx, pgmqFixture); err != nil {
		return fmt.Errorf("fixture of pgmq: %w", err)
	}
	for _, file := range files { // in the order of their names
		migration, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := f.pool.Exec(ctx, strings.Replace(string(migration), createPgmq, "", 1)); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	if _, err := f.pool.Exec(ctx, createFlow); err != nil {
		return fmt.Errorf("create the flow: %w", err)
	}
	return nil
}

// flowInput is what a flow is started with.
type flowInput struct {
	Ticket int64           `json:"ticket"`
	State  contender.State `json:"state"`
}

const startFlows = `SELECT pgflow.start_flow('bench', input) FROM unnest($1::jsonb[]) AS input`

func (f *flow) startFlows(ctx context.Context, inputs []string) error {
	_, err := f.pool.Exec(ctx, startFlows, inputs)
	return err
}

func (f *flow) RunOne(ctx context.Context) error {
	ticket, outcome := f.tickets.Open()
	input, err := json.Marshal(flowInput{ticket, f.input})
	if err != nil {
		return err
	}
	if err := f.starts.Do(ctx, string(input)); err != nil {
		return err
	}
	return contender.Await(ctx, f.input, outcome)
}

func (f *flow) Close(context.Context) error {
	f.starts.Close()
	f.stop()
	f.workers.Wait()
	f.pool.Close()
	return nil
}

const (
	registerWorker = `INSERT INTO pgflow.workers (worker_id, queue_name, function_name) VALUES ($1, 'bench', 'bench')`
	poll           = `SELECT msg_id FROM pgmq.read_with_poll('bench', $1, $2, $3, $4)`
)

// work is one worker, until ctx ends.
func (f *flow) work(ctx context.Context) error {
	worker := uuid.New()
	if _, err := f.pool.Exec(ctx, registerWorker, worker); err != nil {
		return err
	}
	slots := make(chan struct{}, pgflowConcurrent)
	for ctx.Err() == nil {
		rows, err := f.pool.Query(ctx, poll, pgflowVisibility, f.settings.batchSize, pgflowPollSeconds, pgflowPollIntervalMs)
		if err != nil {
			return err
		}
		messages, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			continue
		}
		tasks, err := f.startTasks(ctx, messages, worker)
		if err != nil {
			return err
		}
		if err := f.complete(ctx, tasks, slots); err != nil {
			return err
		}
	}
	return nil
}

// task is a step to be done.
type task struct {
	RunID     uuid.UUID
	StepSlug  string
	TaskIndex int
	Input     map[string]json.RawMessage
}

const startTasks = `SELECT run_id, step_slug, task_index, input FROM pgflow.start_tasks('bench', $1, $2)`

func (f *flow) startTasks(ctx context.Context, messages []int64, worker uuid.UUID) ([]task, error) {
	rows, err := f.pool.Query(ctx, startTasks, messages, worker)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[task])
}

// complete does the tasks of one poll, so many at once as there are slots.
func (f *flow) complete(ctx context.Context, tasks []task, slots chan struct{}) error {
	var (
		done sync.WaitGroup
		errs = make([]error, len(tasks))
	)
	for i, task := range tasks {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			errs[i] = f.completeOne(ctx, task)
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

const completeTask = `SELECT pgflow.complete_task($1, $2, $3, $4)`

func (f *flow) completeOne(ctx context.Context, t task) error {
	var input flowInput
	if err := json.Unmarshal(t.Input["run"], &input); err != nil {
		return err
	}
	state := input.State
	for slug, output := range t.Input {
		if slug == "run" {
			continue
		}
		if err := json.Unmarshal(output, &state); err != nil {
			return err
		}
	}
	state = state.Next()
	if _, err := f.pool.Exec(ctx, completeTask, t.RunID, t.StepSlug, t.TaskIndex, state); err != nil {
		return err
	}
	if state.Step == contender.Steps {
		f.tickets.Settle(input.Ticket, contender.Outcome{Result: state})
	}
	return nil
}
