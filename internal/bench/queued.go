package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"singularity/workflow"
)

// QueueReport is what a long queue costs.
type QueueReport struct {
	Version string    `json:"version"`
	Machine string    `json:"machine"`
	At      time.Time `json:"at"`
	Queues  []Queue   `json:"queues"`
}

// Queue is one queue that was filled while nothing ran, and then drained.
type Queue struct {
	Runs             int     `json:"runs"`
	EnqueuePerSecond float64 `json:"enqueued_per_second"`
	DrainPerSecond   float64 `json:"drained_per_second"`
	PeakMiB          float64 `json:"peak_memory_mib"` // resident, of the whole process
	// Of the shortest queue.
	DrainRatio float64 `json:"drained_per_second_ratio"`
	PeakRatio  float64 `json:"peak_memory_ratio"`
	// Of the last tenth of the queue by the whole of it.
	LastTenthRatio float64 `json:"last_tenth_drained_per_second_ratio"`
	// Relations are the tables and indexes of a Postgres database after the queue
	// was drained.
	Relations []Relation `json:"relations,omitempty"`
}

const (
	// starters is how many starts are under way at once while a queue fills.
	starters = 64
	// slots is how many runs of it are drained at once.
	slots = 32
)

// Queued fills and drains a queue of 1,000 runs, one of 10,000, and one of n:
// those that are shorter than n several times, of which it reports the median.
func Queued(ctx context.Context, cfg Config, n int) (QueueReport, error) {
	cfg = cfg.withDefaults()
	report := QueueReport{Version: cfg.Version, Machine: newReport(cfg).Machine, At: newReport(cfg).At}
	dir, remove, err := scratch(cfg.Dir)
	if err != nil {
		return QueueReport{}, err
	}
	defer remove()
	shorter := slices.DeleteFunc([]int{1000, 10_000}, func(runs int) bool { return runs >= n })
	for _, runs := range append(shorter, n) {
		repeats := cfg.Rounds
		if runs == n {
			repeats = 1
		}
		var rounds []Queue
		for round := range repeats {
			queue, err := fillAndDrain(ctx, fmt.Sprintf("%s/%d-%d", dir, runs, round), cfg, runs)
			if err != nil {
				return QueueReport{}, fmt.Errorf("queue of %d runs: %w", runs, err)
			}
			rounds = append(rounds, queue)
		}
		report.Queues = append(report.Queues, medianQueue(rounds))
	}
	first, last := report.Queues[0], &report.Queues[len(report.Queues)-1]
	for i := range report.Queues {
		queue := &report.Queues[i]
		queue.DrainRatio, queue.PeakRatio = queue.DrainPerSecond/first.DrainPerSecond, queue.PeakMiB/first.PeakMiB
	}
	if cfg.DatabaseURL != "" {
		last.Relations, err = relations(ctx, cfg.DatabaseURL)
	}
	return report, err
}

func medianQueue(rounds []Queue) Queue {
	return Queue{
		Runs:             rounds[0].Runs,
		EnqueuePerSecond: medianOf(rounds, func(q Queue) float64 { return q.EnqueuePerSecond }),
		DrainPerSecond:   medianOf(rounds, func(q Queue) float64 { return q.DrainPerSecond }),
		PeakMiB:          medianOf(rounds, func(q Queue) float64 { return q.PeakMiB }),
		LastTenthRatio:   medianOf(rounds, func(q Queue) float64 { return q.LastTenthRatio }),
	}
}

func fillAndDrain(ctx context.Context, dir string, cfg Config, runs int) (queue Queue, err error) {
	gate := make(chan struct{})
	drained := make(chan struct{})
	var left atomic.Int64
	var lastTenth atomic.Pointer[time.Time] // when it began
	left.Store(int64(runs))
	work := workflow.New("bench_queue",
		workflow.Do("wait", func(ctx context.Context, _ *load) error {
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}).Timeout(time.Hour),
		workflow.Do("work", func(context.Context, *load) error {
			switch left.Add(-1) {
			case int64(runs / 10):
				now := time.Now()
				lastTenth.Store(&now)
			case 0:
				close(drained)
			}
			return nil
		}))
	engine, err := cfg.openEngine(ctx, dir, slots, work)
	if err != nil {
		return Queue{}, err
	}
	defer func() { err = errors.Join(err, engine.Close(ctx)) }()
	if err := resetPeak(); err != nil {
		return Queue{}, err
	}

	began := time.Now()
	if err := enqueue(ctx, runs, func() error {
		_, err := work.Start(ctx, engine, load{Padding: strings.Repeat("x", cfg.StateBytes)})
		return err
	}); err != nil {
		return Queue{}, err
	}
	filled := time.Now()
	close(gate)
	select {
	case <-drained:
	case <-ctx.Done():
		return Queue{}, context.Cause(ctx)
	}
	ended := time.Now()
	peak, err := peakMiB()
	drain := float64(runs) / ended.Sub(filled).Seconds()
	return Queue{
		Runs:             runs,
		EnqueuePerSecond: float64(runs) / filled.Sub(began).Seconds(),
		DrainPerSecond:   drain,
		PeakMiB:          peak,
		LastTenthRatio:   float64(runs/10) / ended.Sub(*lastTenth.Load()).Seconds() / drain,
	}, err
}

func enqueue(ctx context.Context, runs int, start func() error) error {
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		once    sync.Once
		failure error
	)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for range starters {
		workers.Go(func() {
			for ctx.Err() == nil && next.Add(1) <= int64(runs) {
				if err := start(); err != nil {
					once.Do(func() { failure = err })
					stop()
				}
			}
		})
	}
	workers.Wait()
	return failure
}

// resetPeak gives free memory back and makes the kernel forget the peak.
func resetPeak() error {
	debug.FreeOSMemory()
	if runtime.GOOS != "linux" {
		return errors.New("the peak memory of a process is measured on Linux only")
	}
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // see proc_pid_clear_refs(5)
}

// peakMiB is the most memory that was resident since resetPeak.
func peakMiB() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the kernel does not say VmHWM")
}
