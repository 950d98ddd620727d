package actors

import (
	"bytes"
	"errors"
	"fmt"

	"singularity/persistence"
	"singularity/supervisor"
	"singularity/workflow"
)

// admit starts a new run at once if it can, and stores it otherwise.
func (d *dispatcher) admit(m admit) {
	q := d.queueOf(m.insert.Queue)
	switch {
	case d.leaving != nil:
		m.reply <- admitted{err: workflow.ErrDraining}
	case m.launch.program.Durability == workflow.Ephemeral:
		m.reply <- d.admitEphemeral(m, q)
	default:
		d.admitStored(m, q)
	}
}

// admitStored stores a new run. One that is to run at once has its actor while
// the insert is on its way, so that nothing but its first step is left to start
// then.
func (d *dispatcher) admitStored(m admit, q *queue) {
	var live *liveRun
	atOnce := m.insert.Due.IsZero() && m.insert.Delay == 0 && !q.limited() && !q.paused()
	if atOnce && q.free() > 0 && !q.more && !d.closed() && d.node.standing.good() && d.absent(m.insert.Run) {
		m.insert.Owner = d.node.standing.boot().ID
		m.launch.boot, m.launch.unstored = m.insert.Owner, true
		live = d.run(q, m.launch)
	}
	d.node.journal.Append(m.insert, func(verdict persistence.Verdict) {
		d.node.replaced(verdict.Changed)
		m.reply <- admitted{existing: verdict.Existing, owned: verdict.Owned, err: verdict.Err}
		told := live != nil && d.node.sendLive(runPID(m.insert.Run), stored{live.mark, verdict.Owned})
		d.send(inserted{m.insert, live, told, verdict})
	})
}

func (d *dispatcher) admitEphemeral(m admit, q *queue) admitted {
	if there, found := d.findEphemeral(m); found {
		if there.Workflow != m.insert.Workflow || !bytes.Equal(there.Input, m.insert.Input) {
			return admitted{err: &workflow.KeyConflictError{Workflow: m.insert.Workflow, Run: there.ID}}
		}
		return admitted{existing: &there}
	}
	switch {
	case q.free() > 0 && !d.closed() && !q.paused():
		d.run(q, m.launch)
	case len(q.waiting.launches) < maxWaiting:
		q.waiting.launches = append(q.waiting.launches, m.launch)
	default:
		return admitted{err: fmt.Errorf("%w: %d ephemeral runs wait in queue %s, the most that may", workflow.ErrQueueFull, maxWaiting, q.name)}
	}
	return admitted{owned: true}
}

// findEphemeral finds the run that an earlier start with the same id made. Only
// an id that the caller chose can be there already.
func (d *dispatcher) findEphemeral(m admit) (workflow.Run, bool) {
	if !m.chosen {
		return workflow.Run{}, false
	}
	if run := d.find(m.insert.Run); !run.ID.IsZero() {
		return run, true
	}
	return d.node.watchers.endedEphemeral(m.insert.Run)
}

// find returns a run that has a slot, or waits for one in memory; zero for none.
func (d *dispatcher) find(id workflow.RunID) workflow.Run {
	if live := d.live[id]; live != nil {
		return live.activation.Run
	}
	for _, q := range d.queues {
		for _, l := range q.waiting.launches {
			if run := l.activation.Run; run.ID == id {
				run.State = workflow.Available
				return run
			}
		}
	}
	return workflow.Run{}
}

func (d *dispatcher) inserted(m inserted) {
	q, id, live := d.queueOf(m.insert.Queue), m.insert.Run, d.live[m.insert.Run]
	switch {
	case live == nil || live != m.live: // the run has left, or an earlier start of the dispatcher began it
	case !m.verdict.Owned:
		d.forget(id, live)
		d.node.system.Root.Send(d.node.runs, supervisor.StopChild{Name: id.String()})
	case !m.told:
		live.stored = true
		if live.started {
			d.tellRun(id, stored{live.mark, true})
		}
	}
	existing := m.verdict.Existing
	switch {
	case errors.Is(m.verdict.Err, workflow.ErrOutcomeUnknown):
		d.lookSoon()
	case m.verdict.Err != nil, m.verdict.Owned:
	case existing != nil && existing.ID == id && existing.State == workflow.Running:
		// This very insert landed before, and nobody here heard of it.
		d.adopt(id)
	case existing != nil:
	default:
		d.released(released{queue: q.name, delay: m.verdict.Wait})
		d.node.expectDeadline(m.verdict.Wait, m.insert.Deadline)
	}
	d.fill(q)
}
