package queues

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contenders"
)

// floorConnections are as many as let this Postgres commit the most.
const floorConnections = 32

// floor is a queue as plain SQL. Whoever adds jobs wakes the workers in this
// process, so nobody polls; nothing retries a job or would resume it.
type floor struct {
	pool    *pgxpool.Pool
	setting Setting
	wake    map[string]chan struct{}
	stop    context.CancelFunc
	workers sync.WaitGroup
}

const (
	createJobs = `
		CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, queue text NOT NULL, number int NOT NULL, state text NOT NULL DEFAULT 'available');
		CREATE INDEX jobs_available ON jobs (queue, id) WHERE state = 'available'`
	insertJobs = `INSERT INTO jobs (queue, number) SELECT $1, generate_series(0, $2::int - 1)`
	claimJob   = `
		UPDATE jobs SET state = 'running'
		WHERE id = (SELECT id FROM jobs WHERE queue = $1 AND state = 'available' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id, number`
	completeJob = `UPDATE jobs SET state = 'completed' WHERE id = $1`
)

func (f *floor) Setup(ctx context.Context, setting Setting) (contender.Description, error) {
	f.setting = setting
	var err error
	if f.pool, err = contenders.OpenPool(ctx, setting.DatabaseURL, floorConnections); err != nil {
		return contender.Description{}, err
	}
	if _, err := f.pool.Exec(ctx, createJobs); err != nil {
		return contender.Description{}, fmt.Errorf("make the table: %w", err)
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.wake = map[string]chan struct{}{}
	for queue, workers := range map[string]int{Many: setting.Workers, Single: 1} {
		wake := make(chan struct{}, workers)
		f.wake[queue] = wake
		for range workers {
			f.workers.Go(func() { f.drain(ctx, queue, wake) })
		}
	}
	return contender.Description{
		Version: "pgx " + contenders.Version("github.com/jackc/pgx/v5"),
		Settings: fmt.Sprintf("INSERT of all; UPDATE of one by SELECT FOR UPDATE SKIP LOCKED, and UPDATE of it when it has ended; woken in process; at most %d connections",
			floorConnections),
	}, nil
}

// drain runs jobs until there are none, and again when it is woken.
func (f *floor) drain(ctx context.Context, queue string, wake <-chan struct{}) {
	for ctx.Err() == nil {
		var id int64
		job := Job{Queue: queue}
		err := f.pool.QueryRow(ctx, claimJob, queue).Scan(&id, &job.Number)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			select {
			case <-wake:
			case <-ctx.Done():
			}
		case err == nil:
			f.setting.Work(ctx, job)
			_, _ = f.pool.Exec(ctx, completeJob, id) // a job that is not completed is counted
		}
	}
}

func (f *floor) Enqueue(ctx context.Context, queue string, count int) error {
	if _, err := f.pool.Exec(ctx, insertJobs, queue, count); err != nil {
		return err
	}
	for range min(count, cap(f.wake[queue])) {
		select {
		case f.wake[queue] <- struct{}{}:
		default: // as many wake-ups wait as there are workers
		}
	}
	return nil
}

func (*floor) Unfinished() string {
	return `SELECT count(*) FROM jobs WHERE queue = $1 AND state <> 'completed'`
}

func (f *floor) Close(context.Context) error {
	f.stop()
	f.workers.Wait()
	f.pool.Close()
	return nil
}
