package queues

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/benchmarks/contender"
)

// Order says what to measure of one engine.
type Order struct {
	DatabaseURL string
	// Workers is how many jobs run at once while a queue is drained.
	Workers int
	// Jobs is how many are added and drained.
	Jobs int
	// Duration bounds each of the measurements.
	Duration time.Duration
}

// Answer is what one engine took in one round.
type Answer struct {
	contender.Description

	// EnqueuePerSecond is of all jobs with one call, while nothing of them runs but
	// the first, which wait.
	EnqueuePerSecond float64 `json:"enqueued_per_second"`
	// DrainPerSecond counts the jobs that have ended for the engine.
	DrainPerSecond float64 `json:"drained_per_second"`
	// Starts are from the call that adds a job to an idle queue to the beginning of
	// the job.
	Starts []time.Duration `json:"starts"`
	// Gaps are from the end of a job to the beginning of the next one, where one at a
	// time may run and more wait.
	Gaps []time.Duration `json:"gaps"`
}

const (
	// warmUp is how many jobs let an engine connect, plan and fill its caches.
	warmUp = 100
	// mostGaps is how many jobs are run one at a time.
	mostGaps = 200
	// leastPause and morePause are between two jobs of an idle queue. An engine that
	// tells of at most one job in a while, as River does in 100 ms, is idle then.
	leastPause = 110 * time.Millisecond
	morePause  = 80 * time.Millisecond
	// patience is for what is not measured, and for the first job of an idle queue.
	patience = time.Minute
	// lookEvery is how often the database is asked whether the last jobs have ended.
	lookEvery = 5 * time.Millisecond
)

var errTooSlow = errors.New("the jobs did not end in time")

// Measure sets an engine up, measures it and closes it.
func Measure(ctx context.Context, e Engine, order Order) (answer Answer, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience+4*order.Duration, errTooSlow)
	defer cancel()
	m := &measurement{engine: e, order: order}
	m.work.Store(&idle)
	if answer.Description, err = e.Setup(ctx, Setting{order.DatabaseURL, order.Workers, m.run}); err != nil {
		return answer, fmt.Errorf("set up: %w", err)
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	if m.database, err = pgx.Connect(ctx, order.DatabaseURL); err != nil {
		return answer, err
	}
	defer func() { err = errors.Join(err, m.database.Close(context.WithoutCancel(ctx))) }()
	if err := m.warmUp(ctx); err != nil {
		return answer, fmt.Errorf("warm up: %w", err)
	}
	if answer.Starts, err = m.starts(ctx); err != nil {
		return answer, fmt.Errorf("start of a job: %w", err)
	}
	if answer.Gaps, err = m.gaps(ctx); err != nil {
		return answer, fmt.Errorf("one job at a time: %w", err)
	}
	if answer.EnqueuePerSecond, answer.DrainPerSecond, err = m.drain(ctx); err != nil {
		return answer, fmt.Errorf("%d jobs: %w", order.Jobs, err)
	}
	return answer, nil
}

// measurement is that of one engine.
type measurement struct {
	engine   Engine
	order    Order
	database *pgx.Conn
	work     atomic.Pointer[body]
}

// body is what jobs do while something is measured.
type body struct {
	queue string // of other queues jobs do nothing
	do    func(ctx context.Context)
}

var idle = body{do: func(context.Context) {}}

func (m *measurement) run(ctx context.Context, job Job) {
	if work := m.work.Load(); work.queue == job.Queue {
		work.do(ctx)
	}
}

func (m *measurement) warmUp(ctx context.Context) error {
	if err := errors.Join(m.engine.Enqueue(ctx, Single, 2), m.engine.Enqueue(ctx, Many, warmUp)); err != nil {
		return err
	}
	return errors.Join(m.ended(ctx, Single), m.ended(ctx, Many))
}

// starts adds jobs to an idle queue, one after the other.
func (m *measurement) starts(ctx context.Context) ([]time.Duration, error) {
	began := make(chan time.Time, 1)
	m.work.Store(&body{Many, func(context.Context) { began <- time.Now() }})
	defer m.work.Store(&idle)
	var took []time.Duration
	for end := time.Now().Add(m.order.Duration); time.Now().Before(end); {
		select {
		case <-time.After(leastPause + rand.N(morePause)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		added := time.Now()
		if err := m.engine.Enqueue(ctx, Many, 1); err != nil {
			return nil, err
		}
		select {
		case at := <-began:
			took = append(took, at.Sub(added))
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return took, m.ended(ctx, Many)
}

// gaps runs jobs one at a time, until all have ended or the time is over.
func (m *measurement) gaps(ctx context.Context) ([]time.Duration, error) {
	var (
		mu   sync.Mutex
		last time.Time
		took []time.Duration
		done = make(chan struct{})
	)
	m.work.Store(&body{Single, func(context.Context) {
		mu.Lock()
		defer mu.Unlock()
		if !last.IsZero() {
			took = append(took, time.Since(last))
		}
		if len(took) == mostGaps {
			close(done)
		}
		last = time.Now()
	}})
	defer m.work.Store(&idle)
	if err := m.engine.Enqueue(ctx, Single, mostGaps+1); err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-time.After(m.order.Duration):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	mu.Lock()
	defer mu.Unlock()
	return took, nil
}

// drain adds all jobs while the first of them hold the workers up, and lets them
// go then, until all have ended or the time is over.
func (m *measurement) drain(ctx context.Context) (enqueued, drained float64, err error) {
	var left atomic.Int64
	left.Store(int64(m.order.Jobs))
	gate, done := make(chan struct{}), make(chan struct{})
	m.work.Store(&body{Many, func(ctx context.Context) {
		select {
		case <-gate:
		case <-ctx.Done():
			return
		}
		if left.Add(-1) == 0 {
			close(done)
		}
	}})
	defer m.work.Store(&idle)
	began := time.Now()
	if err := m.engine.Enqueue(ctx, Many, m.order.Jobs); err != nil {
		return 0, 0, err
	}
	added := time.Now()
	close(gate)
	late, cancel := context.WithTimeout(ctx, m.order.Duration)
	defer cancel()
	select {
	case <-done:
		err = m.ended(late, Many)
	case <-late.Done():
		err = late.Err()
	}
	if err != nil && late.Err() == nil {
		return 0, 0, err
	}
	took := time.Since(added)
	unfinished, err := m.unfinished(ctx, Many)
	jobs := float64(m.order.Jobs)
	return jobs / added.Sub(began).Seconds(), (jobs - float64(unfinished)) / took.Seconds(), err
}

// ended waits until all jobs of a queue have ended for the engine.
func (m *measurement) ended(ctx context.Context, queue string) error {
	for {
		unfinished, err := m.unfinished(ctx, queue)
		if err != nil || unfinished == 0 {
			return err
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (m *measurement) unfinished(ctx context.Context, queue string) (count int, err error) {
	err = m.database.QueryRow(ctx, m.engine.Unfinished(), queue).Scan(&count)
	return count, err
}
