package singularity

import (
	"errors"
	"sync/atomic"

	"singularity/messages"
	"singularity/workflow"
)

// letterOutcome is what became of a letter to another engine, for metrics.
type letterOutcome int

const (
	letterAnswered    letterOutcome = iota
	letterRefused                   // by the actor, or by the engine
	letterMoved                     // the actor lives elsewhere; it is written to again there
	letterUnreachable               // the engine cannot have got it
	letterUnanswered                // it may have
	letterOutcomes                  // how many there are
)

func (o letterOutcome) String() string {
	return [letterOutcomes]string{"answered", "refused", "moved", "unreachable", "unanswered"}[o]
}

// letterCounts counts letters by their outcomes. It is safe for concurrent use.
type letterCounts [letterOutcomes]atomic.Int64

func (c *letterCounts) count(reply *messages.LetterReply, err error) {
	c[outcomeOf(reply, err)].Add(1)
}

func outcomeOf(reply *messages.LetterReply, err error) letterOutcome {
	switch {
	case errors.Is(err, workflow.ErrUnreachable):
		return letterUnreachable
	case err != nil:
		return letterUnanswered
	case reply.GetNotOwner() != nil:
		return letterMoved
	case reply.GetFailure() != nil:
		return letterRefused
	default:
		return letterAnswered
	}
}
