package actors

import (
	"context"
	"time"

	"singularity/persistence"
)

const (
	// reassignFirst is how many runs of dead boots are released in the first
	// transaction, so that some of them go on soon, however many there are.
	reassignFirst = 50
	// reassignAtOnce is how many are in each one after it.
	reassignAtOnce = 500
	// A takeover is looked at until its first run has gone on, each time after
	// twice the delay.
	firstFollow = 2 * time.Millisecond
	lastFollow  = 30 * time.Second
	// latestTakeovers is how many are read to find one of just now.
	latestTakeovers = 100
)

func (s *session) declare(charge persistence.Charge) {
	if s.charged[charge.Boot] {
		return
	}
	s.charged[charge.Boot] = true
	judge := s.node.standing.boot().ID
	s.task(func(ctx context.Context) any {
		ended, err := s.store.Declare(ctx, judge, charge)
		return declared{charge, ended, err}
	})
}

func (s *session) declared(m declared) {
	delete(s.charged, m.charge.Boot)
	switch {
	case m.err != nil:
		s.node.log.Warn("a node that looks dead was not declared dead; the next renewal looks again",
			"boot", m.charge.Boot, "ground", m.charge.Ground, "error", m.err)
	case m.ended:
		s.node.takeovers.declared(m.charge.Ground)
		s.node.log.Warn("declared a node dead; its runs go on elsewhere", "boot", m.charge.Boot, "ground", m.charge.Ground,
			"detected_by", m.charge.DetectedBy, "suspected_for", m.charge.SuspectedFor)
		s.takeOver(m.charge.Boot)
	}
}

// takeOver releases the runs of all boots that have ended. If one was declared
// dead just now, it follows those of that one, and lets the other nodes know.
func (s *session) takeOver(dead persistence.BootID) {
	s.swept = time.Now()
	root, self := s.root, s.self
	s.task(func(ctx context.Context) any {
		ended := dead
		err := s.node.releaseOrphans(ctx, func(runs persistence.Reassigned) {
			root.Send(self, tookOver{dead: dead, runs: runs})
			dead = ""
		})
		if dead != "" && err == nil {
			root.Send(self, tookOver{dead: dead}) // somebody else may have released its runs
		}
		if ended != "" {
			s.node.results.orphan()
			s.node.tellBootEnded(ended)
			s.node.tellDispatcher(lookNow{}) // agents of it may live here from now on
			s.node.tellBatches(batchesStirred{})
			s.node.lookForOverdue()
		}
		if err != nil {
			return tookOver{err: err}
		}
		return nil
	})
}

func (s *session) tookOver(m tookOver) {
	if m.err != nil {
		s.node.log.Warn("the runs of dead nodes were not all released; the next look goes on", "error", m.err)
	}
	if m.runs.Quarantined > 0 {
		s.node.tellBatches(batchesStirred{})
	}
	if m.runs != (persistence.Reassigned{}) { // each has freed its place in its queue's limits
		s.node.tellDispatcher(runsReleased{})
	}
	if m.dead != "" {
		s.follow(m.dead)
	}
}

// follow has it noted when the runs of a dead boot go on. Its record stays as
// it is when that takes too long, or when this node ends before.
func (s *session) follow(dead persistence.BootID) {
	s.task(func(ctx context.Context) any {
		for delay := firstFollow; delay <= lastFollow && pause(ctx, delay); delay *= 2 {
			if known, err := s.store.FollowTakeover(ctx, dead); known && err == nil {
				break
			}
		}
		s.node.countClaim(ctx, dead)
		return nil
	})
}

// countClaim counts how long it took until the first run of a dead boot was
// claimed, if that is known.
func (n *Node) countClaim(ctx context.Context, dead persistence.BootID) {
	latest, err := n.store.Takeovers(ctx, latestTakeovers)
	if err != nil {
		return // it is on record, and this node counts one claim less
	}
	for _, t := range latest {
		if t.Boot == dead && t.ClaimedAt != nil {
			n.takeovers.claimed(t.Ground, t.ClaimedAt.Sub(t.SuspectedAt))
		}
	}
}

// releaseOrphans releases the runs of boots that have ended, and tells of each
// batch of them.
func (n *Node) releaseOrphans(ctx context.Context, released func(persistence.Reassigned)) error {
	for limit := reassignFirst; ; limit = reassignAtOnce {
		some, err := n.store.Reassign(ctx, limit)
		if err != nil || some == (persistence.Reassigned{}) {
			return err
		}
		released(some)
		n.results.orphan()
		n.lookForOverdue()
		n.log.Info("took back the runs of dead processes", "released", some.Released, "quarantined", some.Quarantined)
	}
}
