package cluster

import (
	"sync/atomic"

	"singularity/cluster/remoting"
)

// Counts are what the memberships of one process did, one after the other. The
// zero value is ready for use.
type Counts struct {
	HintsSent       atomic.Int64 // that were given to a stream
	HintsDropped    atomic.Int64 // that were not: too many were on their way, or there was no stream
	RefusedPeers    atomic.Int64 // see [remoting.RefusedPeer]
	RefusedMessages atomic.Int64 // see [remoting.RefusedMessage]
}

func (c *Counts) refuse(what remoting.Refusal) {
	switch what {
	case remoting.RefusedPeer:
		c.RefusedPeers.Add(1)
	case remoting.RefusedMessage:
		c.RefusedMessages.Add(1)
	}
}

// Standing is how a membership stands.
type Standing struct {
	Alive      int // members, this one among them
	Leaving    int // members that have announced it
	Unreadable int // that gossip, but say of themselves what this one cannot read
	Missing    int // that are registered, and of which the gossip does not hear
	Streams    int // to other members
	Complete   bool
}

// Standing counts the members and the streams.
func (m *Membership) Standing() Standing {
	view := m.View()
	standing := m.others.standing(view)
	standing.Unreadable = view.Unreadable()
	for _, member := range view.Members() {
		if member.Leaving {
			standing.Leaving++
		} else {
			standing.Alive++
		}
	}
	return standing
}
