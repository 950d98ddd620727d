package actors

import (
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// Messages to the dispatcher.
type (
	// admit asks for a run to be stored or, when ephemeral, to be started.
	admit struct {
		insert persistence.Insert
		chosen bool // the id, by the caller: it may have been used before
		launch launch
		reply  chan<- admitted // has room for one
	}
	admitted struct {
		existing *workflow.Run
		owned    bool
		err      error
	}
	// inserted is the journal's answer to an admit.
	inserted struct {
		insert  persistence.Insert
		live    *liveRun // that was begun for it; nil for none
		told    bool     // the actor knows
		verdict persistence.Verdict
	}
	// claimed is the journal's answer to a claim.
	claimed struct {
		start   int
		boot    persistence.BootID
		queue   string
		limit   int
		solo    bool
		verdict persistence.Verdict
	}
	// adopted is the journal's answer to an adoption.
	adopted struct {
		id      workflow.RunID
		boot    persistence.BootID
		verdict persistence.Verdict
	}
	// released: a run waits in the store for a slot of the queue, from now on
	// or after the delay.
	released struct {
		queue string
		delay time.Duration
		heard bool // from another node, or with all others
	}
	// runLeft comes from a run's actor, last of all.
	runLeft struct {
		id    workflow.RunID
		mark  int64 // of its launch
		queue string
		state workflow.State
		delay time.Duration // of Retryable
		err   error
	}
	// spawnAgain asks for another try to start a run's actor.
	spawnAgain struct{ run *liveRun }
	// cancelRun: a run was cancelled, by its row unless it is ephemeral.
	cancelRun struct {
		id workflow.RunID
		rowCancelled
	}
	// runAlive answers a rollCall.
	runAlive struct {
		run  workflow.Run
		mark int64 // of its launch
	}
	// rollCall asks a run's actor to answer with runAlive.
	rollCall struct{}
	// musterOver: who has not answered by now will not.
	musterOver struct{ start int }
	// gaveUp: a run's actor crashed too often.
	gaveUp struct {
		id  workflow.RunID
		err error
	}
	soloPassed struct{ id workflow.RunID }
	slotLost   struct{ queue string }
	slotBack   struct{ queue string }
	dueNow     struct{}
	sweepNow   struct{}
	// surveyed is what a sweep read.
	surveyed struct {
		start   int
		backlog []persistence.Backlog
		counted bool // owned was read
		owned   []workflow.RunID
		ended   []workflow.RunID // on other nodes, of those that are waited for here
		err     error
	}
	// resumed: the node's lease is renewed after it was late.
	resumed struct{}
	// queuesChanged: the node knows new settings of queues.
	queuesChanged struct{}
	// claimAgain: it is time for another limited claim.
	claimAgain struct{ queue string }
	// roomMade: a run of the queue has ended of which no runLeft tells.
	roomMade struct{ queue string }
	// stirred: runs have begun to run on other nodes, or to be waited for here.
	stirred struct{}
	// peersChanged: others have come or gone, or can be told of things again.
	peersChanged struct{}
	// runsReleased: runs of dead nodes wait for a claim.
	runsReleased struct{}
	// bootEnded: the node's boot was declared dead, and its runs are others'.
	bootEnded struct{}
	// lookNow asks for a sweep out of turn, lookAgain for one after a failure.
	lookNow   struct{}
	lookAgain struct{}
	// findRun asks for a run that has a slot, or an ephemeral one that waits for
	// a slot; the answer is zero when there is none.
	findRun struct {
		id    workflow.RunID
		reply chan<- workflow.Run
	}
	// drainAll makes all runs leave memory, at their next checkpoint or now, and
	// closes empty when they have.
	drainAll struct {
		now   bool
		empty chan<- struct{}
	}
)
