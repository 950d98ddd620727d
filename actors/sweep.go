package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/supervisor"
	"singularity/workflow"
)

// lookSoon arms an early sweep, after something went wrong.
func (d *dispatcher) lookSoon() {
	if d.look == nil {
		d.look = d.later(minSweep, lookAgain{})
	}
}

// runLost sees to a run whose actor ended without knowing how the row stands.
func (d *dispatcher) runLost(m runLeft) {
	switch {
	case errors.Is(m.err, errDisowned):
		d.node.recheck(m.id)
	case errors.Is(m.err, persistence.ErrBadWrite):
		d.lookSoon() // not even its failure can be stored; at once would be again and again
	default:
		d.adopt(m.id)
	}
}

// adopt activates a run that this boot owns, if it still does, and that has no
// actor, or one that waits to be restarted and that nobody counts.
func (d *dispatcher) adopt(id workflow.RunID) {
	if !d.absent(id) {
		return
	}
	d.adopting[id] = true
	boot := d.node.standing.boot().ID
	d.node.system.Root.Send(d.node.runs, supervisor.StopChild{Name: id.String()})
	d.node.journal.Append(persistence.Reactivate{Run: id, Boot: boot}, func(verdict persistence.Verdict) {
		d.send(adopted{id, boot, verdict})
	})
}

func (d *dispatcher) adopted(m adopted) {
	delete(d.adopting, m.id)
	switch {
	case errors.Is(m.verdict.Err, persistence.ErrFenced):
		// It is not ours any more: cancelled, ended, or released by a commit
		// whose answer was lost, and then it waits for a claim.
		d.node.recheck(m.id)
		d.lookSoon()
	case m.verdict.Err != nil:
		d.lookSoon()
	default:
		activation := m.verdict.Activations[0]
		q := d.queueOf(activation.Run.Queue)
		program := d.node.catalog.version(activation.Run.Workflow, activation.Run.Version)
		if q != nil && program != nil && d.live[m.id] == nil {
			d.run(q, launch{boot: m.boot, activation: activation, program: program}) // beyond the limit, if need be: it is ours
		}
	}
	d.fillAll()
}

// gaveUp fails a run whose actor crashes again and again.
func (d *dispatcher) gaveUp(m gaveUp) {
	d.log.Error("a run's actor keeps crashing; the run fails", "run", m.id, "error", m.err)
	if live := d.live[m.id]; live != nil {
		d.forget(m.id, live)
		live.life.over(nil)
		d.fill(live.queue)
	}
	boot, journal := d.node.standing.boot().ID, d.node.journal
	journal.Append(persistence.Reactivate{Run: m.id, Boot: boot}, func(verdict persistence.Verdict) {
		if verdict.Err != nil {
			return
		}
		activation := verdict.Activations[0]
		journal.Append(persistence.Advance{
			Fence:   persistence.Fence{Run: m.id, Boot: boot, Epoch: activation.Run.Epoch, Seq: activation.Seq},
			State:   workflow.Failed,
			Step:    activation.Run.Step,
			Turn:    activation.Run.Turn,
			Attempt: activation.Run.Attempt,
			Error:   errorText(fmt.Errorf("the run's actor keeps crashing: %w", m.err)),
			Summary: activation.Summary,
		}, func(persistence.Verdict) {
			d.node.recheck(m.id)
			d.node.tellEnded(m.id)
			d.node.stirBatch(activation.Run)
			d.send(roomMade{activation.Run.Queue})
		})
	})
}

// sweepAgain sweeps, and again when it is time.
func (d *dispatcher) sweepAgain() {
	if d.sweep != nil {
		d.sweep.Stop()
	}
	d.survey()
	d.sweep = d.later(d.sweepEvery, sweepNow{})
}

// sweepBusy makes the sweeps no rarer than they are while something waits here.
func (d *dispatcher) sweepBusy() {
	if d.sweepEvery <= d.cadence.most {
		return
	}
	d.sweepEvery = d.cadence.most
	d.sweep.Stop()
	d.sweep = d.later(d.sweepEvery, sweepNow{})
}

// sweepOften makes the sweeps as frequent as they get.
func (d *dispatcher) sweepOften() {
	d.sweepEvery = d.cadence.least
	d.sweepAgain()
}

// survey reads what waits in the store, and now and then what this boot owns
// there.
func (d *dispatcher) survey() {
	switch {
	case d.leaving != nil && d.informed && len(d.orphans) == 0:
		return
	case d.surveying:
		d.outdated = true
		return
	}
	d.surveying = true
	node, found, boot := d.node, surveyed{start: d.start}, d.node.standing.boot().ID
	elsewhere := d.waitedElsewhere()
	found.counted = d.recount || d.leaving != nil || len(d.orphans) > 0 || d.sweeps%d.cadence.owned == 0
	d.recount = false
	d.sweeps++
	around := time.Since(d.lookedAround) >= d.cadence.most
	if around {
		d.lookedAround = time.Now()
	}
	known := node.catalog.known()
	go func() {
		ctx, cancel := context.WithTimeout(node.stepContext, 10*time.Second)
		defer cancel()
		if found.counted {
			found.owned, found.err = node.store.Owned(ctx, boot)
		}
		if found.err == nil {
			found.backlog, found.err = node.store.Backlog(ctx, known)
		}
		if found.err == nil && len(elsewhere) > 0 {
			found.ended, found.err = node.shared.Ended(ctx, elsewhere)
		}
		d.send(found)
		if !around || found.err != nil {
			return
		}
		if err := node.agents.lookAround(ctx); err != nil {
			node.log.Warn("the agents of this node were not looked after; the next sweep does", "error", err)
		}
	}()
}

func (d *dispatcher) takeStock(m surveyed) {
	if m.start != d.start {
		return
	}
	d.surveying = false
	if m.err != nil {
		d.sweepEvery = min(2*d.sweepEvery, d.cadence.most)
		d.log.Warn("sweep failed", "error", m.err)
		d.lookSoon()
		return
	}
	d.informed = true
	if m.counted {
		d.adoptOrphans(m.owned)
	}
	for _, id := range m.ended {
		d.node.recheck(id)
	}
	told := d.node.peers.Complete()
	waits := !told && (d.node.elsewhere.Load() || len(d.waitedElsewhere()) > 0)
	// What the sweep did not see may have come since; only a claim that comes
	// back short says that there is nothing more.
	for _, backlog := range m.backlog {
		if q := d.queues[backlog.Queue]; q != nil && !q.paused() {
			if backlog.Due {
				q.expect()
			}
			waits = waits || backlog.Due || backlog.Solo
			q.hasSolo = q.hasSolo || backlog.Solo
			if backlog.Next > 0 {
				d.wake(q, time.Now().Add(backlog.Next))
			}
		}
	}
	d.sweepEvery = d.cadence.next(d.sweepEvery, waits, told)
	if d.solo == soloClears {
		d.clearForSolo() // an actor that was about to be restarted did not hear it
	}
	d.goSolo()
	d.fillAll()
	for _, backlog := range m.backlog {
		if q := d.queues[backlog.Queue]; q != nil && backlog.Due {
			d.offer(q)
		}
	}
	if d.outdated {
		d.outdated = false
		d.survey()
	}
}

// waitedElsewhere lists the runs that are waited for here and have no slot
// here: nobody tells this node when they end.
func (d *dispatcher) waitedElsewhere() []workflow.RunID {
	if d.node.shared == nil {
		return nil
	}
	return slices.DeleteFunc(d.node.watchers.waited(), func(id workflow.RunID) bool { return d.live[id] != nil })
}

// adoptOrphans takes up owned runs that have had no actor for a while: of those
// seen for the first time a claim or an insert may have landed whose answer is
// on its way. A node that drains has claimed and inserted its last.
func (d *dispatcher) adoptOrphans(owned []workflow.RunID) {
	orphans := map[workflow.RunID]time.Time{}
	now := time.Now()
	for _, id := range owned {
		since, seen := d.orphans[id]
		switch {
		case !d.absent(id):
		case seen && now.Sub(since) >= minSweep, d.leaving != nil && d.start == 0:
			d.adopt(id)
		case seen:
			orphans[id] = since
		default:
			orphans[id] = now
			d.tellRun(id, rollCall{})
		}
	}
	d.orphans = orphans
	if len(orphans) > 0 {
		d.lookSoon()
	}
}

// runAlive counts a run in whose actor this dispatcher, restarted, does not know.
func (d *dispatcher) runAlive(m runAlive) {
	delete(d.muster, m.run.ID)
	delete(d.orphans, m.run.ID)
	if q := d.queueOf(m.run.Queue); d.live[m.run.ID] == nil {
		q.used++
		d.live[m.run.ID] = &liveRun{
			launch:  launch{mark: m.mark, activation: persistence.Activation{Run: m.run}, life: &runLife{}},
			queue:   q,
			started: true,
		}
		if d.leaving != nil {
			d.tellRun(m.run.ID, d.leaving)
		}
	}
	d.fillAll()
}
