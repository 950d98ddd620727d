package actors

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
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
	store persistence.Committer
	log   *slog.Logger
	lanes []*lane
	keyed *lane // of inserts with a key; nil when they have none of their own
	seed  maphash.Seed

	sizes  batchSizes
	writes atomic.Int64
	fenced atomic.Int64
	outage atomic.Pointer[outage]
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
	if cfg.KeyWriter {
		j.keyed = j.newLane(cfg)
	}
	return j
}

func (j *Journal) newLane(cfg JournalConfig) *lane {
	return &lane{journal: j, maxBatch: cfg.MaxBatch, wake: make(chan struct{}, 1)}
}

// all lists the lanes.
func (j *Journal) all() []*lane {
	if j.keyed == nil {
		return j.lanes
	}
	return append(slices.Clone(j.lanes), j.keyed)
}

// Append hands over a write. reply hears its verdict, once, from the writer's
// goroutine, and must not block. Append itself never blocks.
//
// While the store is unavailable the writes of owners are kept and repeated,
// since what they say has happened already; all others are answered with
// workflow.ErrUnavailable. So are those that come after the node has stopped.
func (j *Journal) Append(write persistence.Write, reply func(persistence.Verdict)) {
	j.laneOf(write).append(entry{write: write, reply: reply})
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
	if insert, ok := write.(persistence.Insert); ok && insert.Key != "" && j.keyed != nil {
		return j.keyed
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

// lane is one writer and what waits for it.
type lane struct {
	journal  *Journal
	maxBatch int
	wake     chan struct{}

	mu      sync.Mutex
	waiting []entry
	closed  bool
}

type entry struct {
	write persistence.Write
	reply func(persistence.Verdict) // nil once answered
	doubt bool                      // an earlier try may have landed
}

// answer replies, unless that was done before a panic interrupted the batch.
func (e *entry) answer(verdict persistence.Verdict) {
	if reply := e.reply; reply != nil {
		e.reply = nil
		reply(verdict)
	}
}

// fail answers that the last try did not land. A store that is unavailable now
// does not say what became of an earlier one.
func (e *entry) fail(err error) {
	if e.doubt && errors.Is(err, workflow.ErrUnavailable) {
		err = fmt.Errorf("%w: %s", workflow.ErrOutcomeUnknown, err.Error()) // not unavailable: that would mean that nothing was written
	}
	e.answer(persistence.Verdict{Err: err})
}

func (l *lane) append(e entry) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.waiting = append(l.waiting, e)
	}
	l.mu.Unlock()
	if closed {
		e.answer(persistence.Verdict{Err: errJournalClosed})
		return
	}
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

func (l *lane) run(ctx context.Context) (err error) {
	var batch []entry
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("journal writer: panic: %v\n%s", value, debug.Stack())
			answer(batch, workflow.ErrOutcomeUnknown)
		}
	}()
	taken := make(map[workflow.RunID]bool, l.maxBatch)
	for {
		batch = l.take(batch[:0], taken)
		if len(batch) > 0 {
			l.commit(ctx, batch)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-l.wake:
		case <-ctx.Done(): // look once more
		}
	}
}

// take moves the next batch out of what waits: in order, each subject once, at
// most maxBatch. The second write of a subject stays, and all that follow it
// of the same subject with it.
func (l *lane) take(batch []entry, taken map[workflow.RunID]bool) []entry {
	clear(taken)
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.waiting[:0]
	for i, e := range l.waiting {
		subject := e.write.Subject()
		switch {
		case len(batch) == l.maxBatch:
			kept = append(kept, l.waiting[i:]...)
			clear(l.waiting[len(kept):])
			l.waiting = kept
			return batch
		case subject.IsZero():
			batch = append(batch, e)
		case taken[subject]:
			kept = append(kept, e)
		default:
			taken[subject] = true
			batch = append(batch, e)
		}
	}
	clear(l.waiting[len(kept):])
	l.waiting = kept
	return batch
}

// Between two tries of a batch that the store did not take.
const (
	firstRepeat = 20 * time.Millisecond
	lastRepeat  = 2 * time.Second
)

// commit sees a batch through. It splits it around a write that cannot be
// stored, or that has to wait for somebody else's transaction. While the store is unavailable it refuses the writes that ask for
// something and repeats those that report what has happened; a batch whose
// outcome is unknown it repeats whole, since the store recognises what landed.
// A node that stops in the meantime leaves the writes unknown, and their runs
// go on from their last checkpoint.
func (l *lane) commit(ctx context.Context, batch []entry) {
	for delay := firstRepeat; ; delay = min(2*delay, lastRepeat) {
		writes := make([]persistence.Write, len(batch))
		for i, e := range batch {
			writes[i] = e.write
		}
		// A commit goes on when the node stops: what was appended is to be stored.
		verdicts, err := l.journal.store.Commit(context.WithoutCancel(ctx), writes)
		unknown := errors.Is(err, workflow.ErrOutcomeUnknown)
		switch {
		case err == nil:
			l.journal.landed(batch, verdicts)
			return
		case errors.Is(err, persistence.ErrBadWrite) && len(batch) > 1:
			half := len(batch) / 2
			l.commit(ctx, batch[:half])
			l.commit(ctx, batch[half:])
			return
		case errors.Is(err, persistence.ErrContended) && len(batch) > 1:
			for i := range batch { // each wait takes time: only who must wait does
				l.commit(ctx, batch[i:i+1])
			}
			return
		case errors.Is(err, persistence.ErrContended) && !mustLand(batch[0].write):
			answer(batch, err)
			return
		case errors.Is(err, persistence.ErrContended):
			l.postpone(&batch[0])
			return
		case !unknown && !errors.Is(err, workflow.ErrUnavailable):
			answer(batch, err)
			return
		}
		l.journal.down(err)
		if unknown {
			for i := range batch {
				batch[i].doubt = true
			}
			l.refuseWaiting(errUnresolved)
		} else {
			batch = refuse(batch, err)
			l.refuseWaiting(err)
		}
		if len(batch) == 0 {
			return
		}
		if !pause(ctx, delay) {
			answer(batch, fmt.Errorf("%w: %w", workflow.ErrOutcomeUnknown, err))
			return
		}
	}
}

// contendedAgain is how long a write waits for its next try that met somebody
// else's lock. The try itself waits, too.
const contendedAgain = 100 * time.Millisecond

// postpone lets the others of the lane go first.
func (l *lane) postpone(e *entry) {
	again := *e
	e.reply = nil
	time.AfterFunc(contendedAgain, func() { l.append(again) })
}

// pause waits for about the delay, and returns false when ctx ends first.
func pause(ctx context.Context, delay time.Duration) bool {
	select {
	case <-time.After(delay/2 + rand.N(delay)):
		return true
	case <-ctx.Done():
		return false
	}
}

var errUnresolved = fmt.Errorf("%w: it does not say what became of an earlier write", workflow.ErrUnavailable)

// refuse answers those writes of a batch that need not land and moves the
// others to its front, which it returns.
func refuse(batch []entry, err error) []entry {
	kept := batch[:0]
	for i := range batch {
		if mustLand(batch[i].write) {
			kept = append(kept, batch[i])
		} else {
			batch[i].fail(err)
		}
	}
	clear(batch[len(kept):])
	return kept
}

// refuseWaiting does the same for what came in since.
func (l *lane) refuseWaiting(err error) {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	kept := refuse(waiting, err)
	l.mu.Lock()
	l.waiting = append(kept, l.waiting...)
	l.mu.Unlock()
}

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
		case errors.Is(verdicts[i].Err, persistence.ErrFenced):
			j.fenced.Add(1)
		}
		batch[i].answer(verdicts[i])
	}
}

func answer(batch []entry, err error) {
	for i := range batch {
		batch[i].fail(err)
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
