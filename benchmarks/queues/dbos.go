package queues

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contenders"
)

// dbosPolling is how often a queue is polled at its quickest: it has no least.
const dbosPolling = time.Millisecond

// transact is DBOS Transact for Go: a workflow without steps, the least that it
// can be. It has no call for many: in one transaction of the caller each costs a
// round trip, and no commit.
type transact struct {
	polling time.Duration // 0 is the default
	dbos    dbos.Context
	pool    *pgxpool.Pool
}

const dbosJob = "job"

func (t *transact) Setup(ctx context.Context, setting Setting) (contender.Description, error) {
	polling, options := "polled every second, the default", []dbos.QueueOption{}
	if t.polling > 0 {
		polling, options = fmt.Sprintf("polled every %v", t.polling), append(options, dbos.WithQueueBasePollingInterval(t.polling))
	}
	description := contender.Description{
		Version: contenders.Version("github.com/dbos-inc/dbos-transact-golang"),
		Settings: fmt.Sprintf("queues in the database, %s; worker concurrency %d, and a queue with global concurrency 1; Enqueue of each in one transaction",
			polling, setting.Workers),
	}
	var err error
	if t.pool, err = contenders.OpenPool(ctx, setting.DatabaseURL, 1); err != nil {
		return description, err
	}
	t.dbos, err = dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{
		AppName:     "bench",
		DatabaseURL: setting.DatabaseURL,
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return description, err
	}
	dbos.RegisterWorkflow(t.dbos, func(ctx dbos.Context, job Job) (int, error) {
		setting.Work(ctx, job)
		return job.Number, nil
	}, dbos.WithWorkflowName(dbosJob))
	if err := dbos.Launch(t.dbos); err != nil {
		return description, err
	}
	for queue, limit := range map[string]dbos.QueueOption{
		Many: dbos.WithWorkerConcurrency(setting.Workers), Single: dbos.WithGlobalConcurrency(1),
	} {
		if _, err := dbos.RegisterQueue(t.dbos, queue, append(options, limit)...); err != nil {
			return description, err
		}
	}
	return description, nil
}

func (t *transact) Enqueue(ctx context.Context, queue string, count int) error {
	if count == 1 {
		_, err := dbos.Enqueue[int](t.dbos, queue, dbosJob, Job{Queue: queue})
		return err
	}
	return pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		for _, job := range jobs(queue, count) {
			if _, err := dbos.Enqueue[int](t.dbos, queue, dbosJob, job, dbos.WithEnqueueTransaction(tx)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (*transact) Unfinished() string {
	return `SELECT count(*) FROM dbos.workflow_status WHERE queue_name = $1 AND status <> 'SUCCESS'`
}

func (t *transact) Close(context.Context) error {
	err := dbos.Shutdown(t.dbos, 10*time.Second)
	t.pool.Close()
	return err
}
