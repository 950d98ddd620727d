package actors

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

// Journal commits the writes of all runs of a node in groups: while one batch
// is on its way to the disk the next one fills, and an idle journal commits a
// lone write at once. It is safe for concurrent use.
//
// Writes of one run are committed in the order in which they were appended,
// and no two of them share a batch.
type Journal struct {
	store   persistence.Committer
	log     *slog.Logger
	lanes   []*lane
	keyed   *lane // of inserts with a key, or a unique one; nil when they have none of their own
	limited *lane // of limited claims, each of which is a batch
	seed    maphash.Seed

	sizes  batchSizes
	writes atomic.Int64
	fenced atomic.Int64
	outage atomic.Pointer[outage]

	onLanded func(persistence.Write) // hears of each write that has landed; nil for nobody
}

// JournalConfig tunes a [Journal].
type JournalConfig struct {
	// Writers is how many batches may be on their way at once; a run's writes
	// all go through the same writer. Defaults to 1.
	Writers int
	// KeyWriter gives inserts with a key a writer of their own: they may have to
	// wait for a caller's transaction that holds the key.
	KeyWriter bool
	// MaxBatch is the most writes in one batch. Defaults to 256.
	MaxBatch int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

func (c JournalConfig) withDefaults() JournalConfig {
	if c.Writers == 0 {
		c.Writers = 1
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 256
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// JournalStats counts what a journal did since it was made.
type JournalStats struct {
	Batches int64 // committed
	Writes  int64 // landed
	Fenced  int64 // refused as stale
	Sizes   BatchSizes
}

// outage is a time during which the store takes no writes.
type outage struct {
	since, last time.Time // of the tries that failed
	err         error
}

// outageOver is how long after the last failed try the store gets the benefit
// of the doubt: while an outage lasts and there is something to store, there is
// a try every few seconds; without one nobody knows.
const outageOver = 10 * time.Second

// NewJournal makes a journal. It takes writes from then on and commits them
// while [Journal.Run] runs.
func NewJournal(store persistence.Committer, cfg JournalConfig) *Journal {
	cfg = cfg.withDefaults()
	j := &Journal{store: store, log: cfg.Logger, seed: maphash.MakeSeed()}
	for range cfg.Writers {
		j.lanes = append(j.lanes, j.newLane(cfg))
	}
	j.limited = j.newLane(JournalConfig{MaxBatch: 1})
	if cfg.KeyWriter {
		j.keyed = j.newLane(cfg)
	}
	return j
}

// all lists the lanes.
func (j *Journal) all() []*lane {
	lanes := append(slices.Clone(j.lanes), j.limited)
	if j.keyed != nil {
		lanes = append(lanes, j.keyed)
	}
	return lanes
}

// Append hands over a write. reply hears its verdict, once, from the goroutine
// that commits, and must not block. Append itself never blocks.
//
// While the store is unavailable the writes of owners are kept and repeated,
// since what they say has happened already; all others are answered with
// workflow.ErrUnavailable. So are those that come after the node has stopped.
func (j *Journal) Append(write persistence.Write, reply func(persistence.Verdict)) {
	j.AppendBy(nil, write, reply)
}

// AppendBy is [Journal.Append] with a worker, if it is not nil, that may commit
// the write in the writer's place when no other waits.
func (j *Journal) AppendBy(w *worker, write persistence.Write, reply func(persistence.Verdict)) {
	l := j.laneOf(write)
	if l.append(entry{write: write, reply: reply}) > 1 || !w.offer(l.lead) {
		l.rouse()
	}
}

// Commit is [Journal.Append] for callers that can wait. When ctx ends first
// the outcome is unknown to the caller; the write may land all the same.
func (j *Journal) Commit(ctx context.Context, write persistence.Write) (persistence.Verdict, error) {
	verdict := make(chan persistence.Verdict, 1)
	j.Append(write, func(v persistence.Verdict) { verdict <- v })
	select {
	case v := <-verdict:
		return v, v.Err
	case <-ctx.Done():
		return persistence.Verdict{}, fmt.Errorf("%w: %w", workflow.ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// Stats returns the counts so far.
func (j *Journal) Stats() JournalStats {
	stats := JournalStats{Writes: j.writes.Load(), Fenced: j.fenced.Load(), Sizes: j.sizes.read()}
	stats.Batches = stats.Sizes.batches()
	return stats
}

// Outage returns why the store takes no writes now, and nil when it does.
func (j *Journal) Outage() error {
	if down := j.outage.Load(); down != nil && time.Since(down.last) < outageOver {
		return fmt.Errorf("since %s: %w", down.since.Format(time.RFC3339), down.err)
	}
	return nil
}

// faltered reports whether the store did not take what it was given last, however
// long ago that was.
func (j *Journal) faltered() bool { return j.outage.Load() != nil }

// mustLand tells the writes that report what has happened, which are repeated
// until the store takes them, from those that ask for something.
func mustLand(write persistence.Write) bool {
	switch write.(type) {
	case persistence.Advance, persistence.Acknowledge:
		return true
	default:
		return false
	}
}

func (j *Journal) laneOf(write persistence.Write) *lane {
	if insert, ok := write.(persistence.Insert); ok && (insert.Key != "" || insert.Unique != nil) && j.keyed != nil {
		return j.keyed
	}
	if claim, ok := write.(persistence.Claim); ok && claim.Limited {
		return j.limited
	}
	if len(j.lanes) == 1 {
		return j.lanes[0]
	}
	subject := write.Subject()
	return j.lanes[maphash.Bytes(j.seed, subject[:])%uint64(len(j.lanes))]
}

// Run commits until ctx ends, then commits what was appended before and
// returns. A panic on the way ends it too: the writes under way are answered
// as unknown, and Run may be called again.
func (j *Journal) Run(ctx context.Context) (err error) {
	var writers sync.WaitGroup
	lanes := j.all()
	failures := make(chan error, len(lanes))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, l := range lanes {
		writers.Go(func() {
			if err := l.run(ctx); err != nil {
				failures <- err
				stop()
			}
		})
	}
	writers.Wait()
	close(failures)
	return <-failures
}

// close refuses what waits and what is still to come. Run must have ended for
// good.
func (j *Journal) close() {
	for _, l := range j.all() {
		l.mu.Lock()
		waiting := l.waiting
		l.waiting, l.closed = nil, true
		l.mu.Unlock()
		answer(waiting, errJournalClosed)
	}
}

var errJournalClosed = fmt.Errorf("%w: %w", workflow.ErrUnavailable, errNodeStopped)

func (j *Journal) down(err error) {
	now := time.Now()
	before := j.outage.Load()
	if before == nil {
		j.log.Error("the store takes no writes; runs wait for it", "error", err)
		j.outage.Store(&outage{now, now, err})
		return
	}
	j.outage.Store(&outage{before.since, now, err})
}

func (j *Journal) landed(batch []entry, verdicts []persistence.Verdict) {
	if down := j.outage.Swap(nil); down != nil {
		j.log.Info("the store takes writes again", "outage", time.Since(down.since).Round(time.Millisecond))
	}
	j.sizes.add(len(batch))
	for i := range batch {
		switch {
		case verdicts[i].Err == nil:
			j.writes.Add(1)
			if j.onLanded != nil {
				j.onLanded(batch[i].write)
			}
		case errors.Is(verdicts[i].Err, persistence.ErrFenced):
			j.fenced.Add(1)
		}
		batch[i].answer(verdicts[i])
	}
}

// journalActor runs a journal under supervision.
type journalActor struct {
	journal *Journal
	stop    context.CancelFunc
	stopped chan struct{}
}

// journalEnded comes from the actor's own goroutine.
type journalEnded struct{ err error }

func newJournalProps(journal *Journal) func(int) *actor.Props {
	return func(int) *actor.Props {
		return actor.PropsFromProducer(func() actor.Actor { return &journalActor{journal: journal} })
	}
}

// Receive implements [actor.Actor].
func (a *journalActor) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		running, stop := context.WithCancel(context.Background())
		a.stop, a.stopped = stop, make(chan struct{})
		go func() {
			defer close(a.stopped)
			if err := a.journal.Run(running); err != nil {
				root.Send(self, journalEnded{err})
			}
		}()
	case journalEnded:
		panic(message.err) // the supervisor starts the journal anew
	case *actor.Stopping:
		a.stop()
		<-a.stopped
	}
}
