package actors

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// admit starts a new run at once if it can, and stores it otherwise.
func (d *dispatcher) admit(m admit) {
	q := d.queues[m.insert.Queue]
	switch {
	case d.leaving != nil:
		m.reply <- admitted{err: workflow.ErrDraining}
	case m.launch.program.Durability == workflow.Ephemeral:
		m.reply <- d.admitEphemeral(m, q)
	default:
		dueNow := !m.insert.Due.After(time.Now())
		reserved := dueNow && q.free() > 0 && !q.more && !d.closed() && d.node.standing.good()
		if reserved {
			q.used++
			m.launch.boot = d.node.standing.boot().ID
			m.insert.Owner = m.launch.boot
		}
		d.node.journal.Append(m.insert, func(verdict persistence.Verdict) {
			m.reply <- admitted{existing: verdict.Existing, owned: verdict.Owned, err: verdict.Err}
			d.send(inserted{d.start, m, reserved, verdict})
		})
	}
}

func (d *dispatcher) admitEphemeral(m admit, q *queue) admitted {
	if there, found := d.findEphemeral(m); found {
		if there.Workflow != m.insert.Workflow || !bytes.Equal(there.Input, m.insert.Input) {
			return admitted{err: &workflow.KeyConflictError{Workflow: m.insert.Workflow, Run: there.ID}}
		}
		return admitted{existing: &there}
	}
	switch {
	case q.free() > 0 && !d.closed():
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
	q := d.queues[m.admit.insert.Queue]
	if m.reserved && m.start == d.start {
		q.used--
	}
	existing := m.verdict.Existing
	switch {
	case errors.Is(m.verdict.Err, workflow.ErrOutcomeUnknown):
		d.lookSoon()
	case m.verdict.Err != nil:
	case existing != nil && existing.ID == m.admit.insert.Run && existing.State == workflow.Running && d.live[existing.ID] == nil:
		// This very insert landed before, and nobody here heard of it.
		d.adopt(existing.ID)
	case existing != nil:
	case m.verdict.Owned:
		d.run(q, m.admit.launch)
	default:
		d.released(released{q.name, time.Until(m.admit.insert.Due)})
	}
	d.fill(q)
}
