package actors

import (
	"context"
	"errors"
	"fmt"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// Peers are the other nodes of a shared store, as far as messages reach them.
// What they carry decides nothing: that is in the store. So a hint may be lost,
// and a letter that nobody answers is looked after by who wrote it.
//
// The other direction are [Node.Hear], [Node.Answer] and [Node.PeersChanged],
// which whoever implements Peers calls. All methods but Ask and ChangeKeys are called from
// within actors and must not block.
type Peers interface {
	// Open makes the node one that the others find and reach, under a boot that is
	// about to join the store, and returns where. What was meant for an earlier
	// boot of the node does not reach it any more.
	Open(ctx context.Context, boot persistence.Boot) (persistence.Addresses, error)
	// Leave lets the others know that the node is about to go. Messages pass until
	// Close, which waits for what is under way.
	Leave(ctx context.Context)
	Close()
	// Tell gives a hint to one boot, if it can be reached.
	Tell(boot persistence.BootID, hint *messages.Hint)
	// TellAll gives a hint to all others that can be reached.
	TellAll(hint *messages.Hint)
	// Ask gives a letter to a boot and returns what its node's Answer returned.
	// The error wraps workflow.ErrUnreachable when the boot cannot have got the
	// letter; after any other it may have.
	Ask(ctx context.Context, boot persistence.BootID, letter *messages.Letter) (*messages.LetterReply, error)
	// At returns the boot of the node that is reached at an address, or goes by a
	// label.
	At(address string) (persistence.BootID, bool)
	// Others are the nodes that this one sees, by boot, with their labels. It may be
	// among them.
	Others() map[persistence.BootID]string
	// ChangeKeys changes the keys by which this node finds the others, and returns
	// the fingerprints of all, that of the primary first. A change that was made
	// before is none.
	ChangeKeys(change KeyChange) (fingerprints []string, err error)
	// Complete reports whether every other living node of the store can be
	// reached. Then the node relies on being told, and asks the store rarely.
	Complete() bool
}

// nobody is no peers.
type nobody struct{}

var _ Peers = nobody{}

// Open implements [Peers].
func (nobody) Open(context.Context, persistence.Boot) (persistence.Addresses, error) {
	return persistence.Addresses{}, nil
}

// Leave implements [Peers].
func (nobody) Leave(context.Context) {}

// Close implements [Peers].
func (nobody) Close() {}

// Tell implements [Peers].
func (nobody) Tell(persistence.BootID, *messages.Hint) {}

// TellAll implements [Peers].
func (nobody) TellAll(*messages.Hint) {}

// Ask implements [Peers].
func (nobody) Ask(_ context.Context, boot persistence.BootID, _ *messages.Letter) (*messages.LetterReply, error) {
	return nil, fmt.Errorf("%w: boot %s: this node talks to no others", workflow.ErrUnreachable, boot)
}

// At implements [Peers].
func (nobody) At(string) (persistence.BootID, bool) { return "", false }

// Others implements [Peers].
func (nobody) Others() map[persistence.BootID]string { return nil }

// ChangeKeys implements [Peers].
func (nobody) ChangeKeys(KeyChange) ([]string, error) {
	return nil, errors.New("this node talks to no others, so it has no keys")
}

// Complete implements [Peers].
func (nobody) Complete() bool { return false }

// Boot is the one under which the node owns what it begins now.
func (n *Node) Boot() persistence.BootID { return n.standing.boot().ID }

// PeersChanged says that a node has come or gone, or that Complete has changed
// its mind. What was told in between, the next sweep finds, at once.
func (n *Node) PeersChanged() {
	if n.started.Load() {
		n.tellDispatcher(peersChanged{})
	}
}

// alone reports whether there is nobody to talk to.
func (n *Node) alone() bool { return n.shared == nil || n.peers == Peers(nobody{}) }
