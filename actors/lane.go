package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// lane is one writer and what waits for it.
type lane struct {
	journal  *Journal
	maxBatch int
	wake     chan struct{}

	turn    chan struct{}           // filled while somebody has what follows
	batch   []entry                 // on its way to the store
	taken   map[workflow.RunID]bool // the subjects of the batch
	crowded bool                    // the last batch was of several writes
	manned  bool                    // the writer is there
	failure error                   // what it is to end with

	mu      sync.Mutex
	waiting []entry
	closed  bool
}

func (j *Journal) newLane(cfg JournalConfig) *lane {
	return &lane{
		journal:  j,
		maxBatch: cfg.MaxBatch,
		wake:     make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		taken:    make(map[workflow.RunID]bool, cfg.MaxBatch),
	}
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

// fail answers that the last try did not land. That the store is unavailable
// now does not mean that nothing was written by an earlier one.
func (e *entry) fail(err error) {
	if e.doubt && errors.Is(err, workflow.ErrUnavailable) {
		err = fmt.Errorf("%w: %s", workflow.ErrOutcomeUnknown, err.Error())
	}
	e.answer(persistence.Verdict{Err: err})
}

// append returns how many entries wait now. It answers the entry when the
// journal is closed.
func (l *lane) append(e entry) (waiting int) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.waiting = append(l.waiting, e)
	}
	waiting = len(l.waiting)
	l.mu.Unlock()
	if closed {
		e.answer(persistence.Verdict{Err: errJournalClosed})
	}
	return waiting
}

// rouse makes the writer look at what waits.
func (l *lane) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// run is the writer.
func (l *lane) run(ctx context.Context) (err error) {
	l.turn <- struct{}{}
	l.manned = true
	defer func() {
		if value := recover(); value != nil {
			l.broke(value)
		}
		err, l.failure = l.failure, nil
		l.manned = false
		<-l.turn
	}()
	for l.failure == nil {
		if l.fill() {
			l.commit(ctx, l.batch)
			l.empty()
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		<-l.turn
		select {
		case <-l.wake:
		case <-ctx.Done(): // look once more
		}
		l.turn <- struct{}{}
	}
	return nil
}

// lead is one commit in the writer's place, by a worker that would wait for it
// anyway. What goes beyond that is left to the writer: the repeats of a commit
// that failed, and what came in since. So is all while many runs write, since
// the writer leaves more of them the time to join a batch.
func (l *lane) lead(w *worker) {
	w.release()
	select {
	case l.turn <- struct{}{}:
		if !l.manned || l.crowded || !l.commitOnce() {
			l.rouse()
		}
		<-l.turn
	default:
		l.rouse()
	}
}

// commitOnce reports whether nothing is left to commit.
func (l *lane) commitOnce() (done bool) {
	defer func() {
		if value := recover(); value != nil {
			l.broke(value)
		}
	}()
	if !l.fill() {
		return true
	}
	verdicts, err := l.store(context.Background(), l.batch)
	if err != nil {
		return false
	}
	l.journal.landed(l.batch, verdicts)
	l.empty()
	return !l.fill()
}

// broke answers the writes that were under way in a panic, which ends the
// writer.
func (l *lane) broke(panicked any) {
	l.failure = fmt.Errorf("journal writer: panic: %v\n%s", panicked, debug.Stack())
	answer(l.batch, workflow.ErrOutcomeUnknown)
	l.empty()
}

// fill takes the next batch, unless there is one, and reports whether there is.
func (l *lane) fill() bool {
	if len(l.batch) > 0 {
		return true
	}
	l.batch = l.take(l.batch)
	if len(l.batch) > 0 {
		l.crowded = len(l.batch) > 1
	}
	return len(l.batch) > 0
}

func (l *lane) empty() {
	clear(l.batch)
	l.batch = l.batch[:0]
}

// take moves the next batch out of what waits: in order, each subject once, at
// most maxBatch. The second write of a subject stays, and all that follow it
// of the same subject with it.
func (l *lane) take(batch []entry) []entry {
	clear(l.taken)
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
		case l.taken[subject]:
			kept = append(kept, e)
		default:
			l.taken[subject] = true
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
// stored, or that has to wait for somebody else's transaction. While the store
// is unavailable it refuses the writes that ask for something and repeats those
// that report what has happened; a batch whose outcome is unknown it repeats
// whole, since the store recognises what landed. A node that stops in the
// meantime leaves the writes unknown, and their runs go on from their last
// checkpoint.
func (l *lane) commit(ctx context.Context, batch []entry) {
	for delay := firstRepeat; ; delay = min(2*delay, lastRepeat) {
		// A commit goes on when the node stops: what was appended is to be stored.
		verdicts, err := l.store(context.WithoutCancel(ctx), batch)
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
	time.AfterFunc(contendedAgain, func() {
		l.append(again)
		l.rouse()
	})
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

func (l *lane) store(ctx context.Context, batch []entry) ([]persistence.Verdict, error) {
	writes := make([]persistence.Write, len(batch))
	for i, e := range batch {
		writes[i] = e.write
	}
	verdicts, err := l.journal.store.Commit(ctx, writes)
	if errors.Is(err, workflow.ErrOutcomeUnknown) {
		for i := range batch {
			batch[i].doubt = true
		}
	}
	return verdicts, err
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

func answer(batch []entry, err error) {
	for i := range batch {
		batch[i].fail(err)
	}
}
