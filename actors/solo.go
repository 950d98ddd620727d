package actors

import (
	"time"

	"singularity/workflow"
)

// soloState is how far the dispatcher is with a run that has to run alone,
// since its process died twice in the same step: whatever else ends with the
// process the next time should be that run's own doing only.
type soloState int

const (
	noSolo      soloState = iota
	soloClears            // the other runs are leaving
	soloClaims            // the claim is under way
	soloRunning           // until its next commit
)

// goSolo makes room for a run that has to run alone, once one is due: the
// others leave memory at their next checkpoint.
func (d *dispatcher) goSolo() {
	var candidate *queue
	for _, q := range d.queues {
		if q.hasSolo && !q.held && !q.paused() && !time.Now().Before(q.soloAfter) {
			candidate = q
		}
	}
	if d.leaving != nil || candidate == nil || !d.node.standing.good() {
		return
	}
	if d.solo == noSolo {
		d.solo = soloClears
		d.clearForSolo()
	}
	if d.solo == soloClears && !d.busy() {
		d.solo = soloClaims
		d.log.Warn("a run whose process died twice in the same step runs alone until its next checkpoint", "queue", candidate.name)
		d.claim(candidate, 1, true)
	}
}

func (d *dispatcher) clearForSolo() {
	for id := range d.live {
		d.tellRun(id, drained{})
	}
}

// soloOver lets the others run again.
func (d *dispatcher) soloOver() {
	if d.solo == noSolo {
		return
	}
	d.solo, d.soloRun = noSolo, workflow.RunID{}
	for _, q := range d.queues {
		q.hasSolo = false
		q.expect()
	}
	d.fillAll()
	d.survey() // is there another one?
}
