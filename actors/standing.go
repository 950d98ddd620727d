package actors

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

// fenceAfter is how long after a renewal was sent its node goes on to begin
// things: well before the lease can be over, whatever the clocks say. Fault
// tests change it.
var fenceAfter = 2500 * time.Millisecond

// standing is what a node may do in its store: the boot under which it owns
// runs, and whether its lease lets it begin anything. On a store that the
// process has to itself it may always. It is safe for concurrent use.
type standing struct {
	base  time.Time
	until atomic.Int64 // nanoseconds after base; nothing begins later
	now   atomic.Pointer[persistence.Boot]
	doubt atomic.Pointer[error] // why the last renewal failed, if it did

	mu   sync.Mutex
	held []*actor.PID // runs whose next step waits
}

func newStanding(boot persistence.Boot) *standing {
	s := &standing{base: time.Now()}
	s.now.Store(&boot)
	s.until.Store(math.MaxInt64)
	return s
}

// boot is the one under which the node owns what it begins now.
func (s *standing) boot() persistence.Boot { return *s.now.Load() }

// good reports whether something may begin.
func (s *standing) good() bool { return int64(time.Since(s.base)) < s.until.Load() }

// admit reports whether a run may begin a step. If not, the run is told by
// leaseRenewed when it may.
func (s *standing) admit(run *actor.PID) bool {
	if s.good() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good() { // renewed in between
		return true
	}
	s.held = append(s.held, run)
	return false
}

// renewed takes in that a renewal, sent at the given time, was granted, and
// returns the runs that have waited for it.
func (s *standing) renewed(sent time.Time) (held []*actor.PID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubt.Store(nil)
	s.until.Store(int64(sent.Sub(s.base) + fenceAfter))
	if !s.good() {
		return nil // the answer took too long
	}
	held, s.held = s.held, nil
	return held
}

// failed takes in that a renewal failed.
func (s *standing) failed(err error) { s.doubt.Store(&err) }

// overdue says why nothing may begin.
func (s *standing) overdue() error {
	late := max(time.Since(s.base)-time.Duration(s.until.Load()), 0).Round(time.Millisecond)
	reason := errNotRenewed
	if doubt := s.doubt.Load(); doubt != nil {
		reason = *doubt
	}
	return fmt.Errorf("%w: the node's lease in the database has not been renewed in time, for %s now: %w", workflow.ErrUnavailable, late, reason)
}

var errNotRenewed = errors.New("check the database")

// suspend keeps everything from beginning until the next renewal.
func (s *standing) suspend() { s.until.Store(0) }

// reboot makes the node go on under another boot, from its next renewal on.
func (s *standing) reboot(boot persistence.Boot) { s.now.Store(&boot) }
