package contenders

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/benchmarks/contender"
)

// floorConnections are as many as let this Postgres commit the most.
const floorConnections = 32

// floor is the workflow as plain SQL, without an engine: nothing claims it,
// retries it or would resume it.
type floor struct {
	bare
}

const (
	createRuns = `
		CREATE TABLE runs (id bigint PRIMARY KEY, state text NOT NULL, step int NOT NULL, input bytea NOT NULL);
		CREATE TABLE checkpoints (run bigint NOT NULL, step int NOT NULL, state bytea NOT NULL, PRIMARY KEY (run, step))`
	insertRun = `INSERT INTO runs (id, state, step, input) VALUES ($1, 'running', 0, $2)`
	// Two statements in one round trip take 5 to 10 % longer.
	updateAndCheckpoint = `
		WITH run AS (UPDATE runs SET state = $2, step = $3 WHERE id = $1 RETURNING id)
		INSERT INTO checkpoints (run, step, state) SELECT id, $3, $4 FROM run`
)

func (f *floor) Setup(ctx context.Context, job contender.Job) (contender.Description, error) {
	return f.open(ctx, job, createRuns, "4 transactions of one round trip each: INSERT run, then 3 times UPDATE run + INSERT checkpoint")
}

func (f *floor) RunOne(ctx context.Context) error {
	id := f.last.Add(1)
	state := f.input
	document, err := json.Marshal(state)
	if err != nil {
		return err
	}
	connection, err := f.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer connection.Release()
	if _, err := connection.Exec(ctx, insertRun, id, document); err != nil {
		return fmt.Errorf("insert the run: %w", err)
	}
	for range contender.Steps {
		state = state.Next()
		if document, err = json.Marshal(state); err != nil {
			return err
		}
		progress := "running"
		if state.Step == contender.Steps {
			progress = "completed"
		}
		if _, err := connection.Exec(ctx, updateAndCheckpoint, id, progress, state.Step, document); err != nil {
			return fmt.Errorf("step %d: %w", state.Step, err)
		}
	}
	return f.input.Finished(state)
}

// commit is one row in one transaction.
type commit struct {
	bare
}

const (
	createRows = `CREATE TABLE rows (id bigint PRIMARY KEY, state bytea NOT NULL)`
	insertRow  = `INSERT INTO rows (id, state) VALUES ($1, $2)`
)

func (c *commit) Setup(ctx context.Context, job contender.Job) (contender.Description, error) {
	return c.open(ctx, job, createRows, "no workflow: 1 row in 1 transaction")
}

func (c *commit) RunOne(ctx context.Context) error {
	document, err := json.Marshal(c.input)
	if err != nil {
		return err
	}
	_, err = c.pool.Exec(ctx, insertRow, c.last.Add(1), document)
	return err
}

// bare is what commit and floor share: connections, and nothing on top.
type bare struct {
	pool  *pgxpool.Pool
	input contender.State
	last  atomic.Int64
}

func (b *bare) open(ctx context.Context, job contender.Job, schema, what string) (contender.Description, error) {
	pool, err := OpenPool(ctx, job.DatabaseURL, floorConnections)
	if err != nil {
		return contender.Description{}, err
	}
	b.pool, b.input = pool, contender.NewState(job.StateBytes)
	if _, err := pool.Exec(ctx, schema); err != nil {
		return contender.Description{}, fmt.Errorf("make the tables: %w", err)
	}
	return contender.Description{
		Version:  "pgx " + Version("github.com/jackc/pgx/v5"),
		Settings: fmt.Sprintf("%s; at most %d connections", what, floorConnections),
	}, nil
}

func (b *bare) Close(context.Context) error {
	b.pool.Close()
	return nil
}

// OpenPool opens a pool; 0 connections are as many as pgx has by default.
func OpenPool(ctx context.Context, url string, connections int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if connections > 0 {
		cfg.MaxConns = connections
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}
