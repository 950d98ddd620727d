package gossip

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
)

// inbox is what memberlist calls. It calls with its own lock held, so nothing
// here waits or calls back: the last notice of each member is kept until the
// owner fetches it. Nodes are copied at once, as memberlist goes on to change
// them.
type inbox struct {
	wake chan struct{}
	card atomic.Pointer[[]byte] // what this member says about itself, encoded

	mu        sync.Mutex
	notices   map[string]notice
	conflicts map[string]conflict
}

// conflict is that two processes have one boot.
type conflict struct{ boot, address, other string }

var (
	_ memberlist.EventDelegate    = (*inbox)(nil)
	_ memberlist.ConflictDelegate = (*inbox)(nil)
	_ memberlist.Delegate         = (*inbox)(nil)
)

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), notices: map[string]notice{}, conflicts: map[string]conflict{}}
}

// fetch returns what has come in since the last call.
func (i *inbox) fetch() (map[string]notice, map[string]conflict) {
	i.mu.Lock()
	defer i.mu.Unlock()
	notices, conflicts := i.notices, i.conflicts
	i.notices, i.conflicts = map[string]notice{}, map[string]conflict{}
	return notices, conflicts
}

func (i *inbox) keep(node *memberlist.Node, gone bool) {
	n := notice{boot: node.Name, address: node.Address(), meta: bytes.Clone(node.Meta), gone: gone}
	i.mu.Lock()
	i.notices[n.boot] = n
	i.mu.Unlock()
	i.rouse()
}

func (i *inbox) rouse() {
	select {
	case i.wake <- struct{}{}:
	default: // the owner is about to fetch
	}
}

// NotifyJoin implements [memberlist.EventDelegate].
func (i *inbox) NotifyJoin(node *memberlist.Node) { i.keep(node, false) }

// NotifyUpdate implements [memberlist.EventDelegate].
func (i *inbox) NotifyUpdate(node *memberlist.Node) { i.keep(node, false) }

// NotifyLeave implements [memberlist.EventDelegate]. It is called for those who
// leave and for those who die, and does not tell them apart.
func (i *inbox) NotifyLeave(node *memberlist.Node) { i.keep(node, true) }

// NotifyConflict implements [memberlist.ConflictDelegate].
func (i *inbox) NotifyConflict(existing, other *memberlist.Node) {
	c := conflict{boot: existing.Name, address: existing.Address(), other: other.Address()}
	i.mu.Lock()
	i.conflicts[c.boot] = c
	i.mu.Unlock()
	i.rouse()
}

// NodeMeta implements [memberlist.Delegate]. Memberlist panics over a longer one
// than its limit, which encode refuses to make.
func (i *inbox) NodeMeta(int) []byte { return *i.card.Load() }

// NotifyMsg implements [memberlist.Delegate]: members send no messages by gossip.
func (i *inbox) NotifyMsg([]byte) {}

// GetBroadcasts implements [memberlist.Delegate].
func (i *inbox) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements [memberlist.Delegate].
func (i *inbox) LocalState(bool) []byte { return nil }

// MergeRemoteState implements [memberlist.Delegate].
func (i *inbox) MergeRemoteState([]byte, bool) {}
