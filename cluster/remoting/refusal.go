package remoting

// Refusal is what a node does not let in.
type Refusal int

// The refusals.
const (
	// RefusedPeer is a connection, a call or a stream that is none of the
	// cluster's, or that was not in order. One that is meant for another boot at
	// the same address is nothing of the kind.
	RefusedPeer Refusal = iota
	// RefusedMessage is a message in the stream of a peer that is not one for this
	// node from that peer, or cannot be read.
	RefusedMessage
)
