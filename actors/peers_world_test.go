package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// latency is how long a message is on its way between two nodes.
const latency = time.Millisecond

// network carries messages between the nodes of a cluster. The zero value has
// none.
type network struct {
	mu      sync.Mutex
	nodes   map[persistence.BootID]*port
	silent  bool                           // all hints are lost
	severed map[*port]bool                 // nothing passes
	lies    func(persistence.BootID) *port // where letters really go; nil: where they should
	hinted  int
	letters int
}

// port is one node's end of the network.
type port struct {
	network *network
	node    *Node
	boot    persistence.BootID
	keys    []string // fingerprints, that of the primary first
	broken  error    // what changes of the keys fail with
}

var _ Peers = (*port)(nil)

// startPeers is [startCluster] with nodes that reach each other.
func startPeers(t testing.TB, size int, definitions ...workflow.Definition) *cluster {
	t.Helper()
	c := &cluster{TB: t, database: newDatabase()}
	c.network.nodes = map[persistence.BootID]*port{}
	c.severed = map[*port]bool{}
	for range size {
		p := &port{network: &c.network, keys: []string{printOf("old")}}
		p.attach(c.add(p, definitions...))
	}
	return c.ripen()
}

// attach plugs a node in that was started.
func (p *port) attach(node *Node) {
	p.network.mu.Lock()
	p.node = node
	p.network.mu.Unlock()
	p.network.changed()
}

func (p *port) Open(_ context.Context, boot persistence.Boot) (persistence.Addresses, error) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	delete(p.network.nodes, p.boot)
	p.boot = boot.ID
	p.network.nodes[boot.ID] = p
	return persistence.Addresses{Actors: string(boot.ID)}, nil
}

func (p *port) Leave(context.Context) {}

func (p *port) Close() {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	delete(p.network.nodes, p.boot)
}

// target finds who is reached under a boot.
func (p *port) target(boot persistence.BootID) *port {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	to := p.network.nodes[boot]
	if p.network.lies != nil {
		to = p.network.lies(boot)
	}
	if to == nil || to.node == nil || p.network.severed[to] || p.network.severed[p] {
		return nil
	}
	return to
}

func (p *port) Tell(boot persistence.BootID, hint *messages.Hint) {
	p.network.mu.Lock()
	p.network.hinted++
	lost, from := p.network.silent, p.boot
	p.network.mu.Unlock()
	if lost {
		return
	}
	encoded, err := proto.Marshal(hint)
	if err != nil {
		panic(err)
	}
	time.AfterFunc(latency, func() {
		arrived := new(messages.Hint)
		if err := proto.Unmarshal(encoded, arrived); err != nil {
			panic(err)
		}
		if to := p.target(boot); to != nil {
			to.node.Hear(from, arrived)
		}
	})
}

func (p *port) TellAll(hint *messages.Hint) {
	p.network.mu.Lock()
	var others []persistence.BootID
	for boot, other := range p.network.nodes {
		if other != p {
			others = append(others, boot)
		}
	}
	p.network.mu.Unlock()
	for _, boot := range others {
		p.Tell(boot, hint)
	}
}

func (p *port) Ask(ctx context.Context, boot persistence.BootID, letter *messages.Letter) (*messages.LetterReply, error) {
	to := p.target(boot)
	if to == nil {
		return nil, fmt.Errorf("%w: boot %s", workflow.ErrUnreachable, boot)
	}
	p.network.mu.Lock()
	p.network.letters++
	p.network.mu.Unlock()
	replies := make(chan *messages.LetterReply, 1)
	go func() {
		time.Sleep(latency)
		reply := to.node.Answer(ctx, proto.CloneOf(letter))
		time.Sleep(latency)
		if p.target(boot) != nil {
			replies <- proto.CloneOf(reply)
		}
	}()
	select {
	case reply := <-replies:
		return reply, nil
	case <-ctx.Done():
		return nil, errors.Join(errors.New("no answer came"), ctx.Err())
	}
}

func (p *port) At(address string) (persistence.BootID, bool) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	for boot, other := range p.network.nodes {
		if other.node != nil && address == "host-of-"+other.node.Instance()+":7947" {
			return boot, true
		}
	}
	return "", false
}

func (p *port) Others() map[persistence.BootID]string {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	others := map[persistence.BootID]string{}
	for boot, other := range p.network.nodes {
		if other.node != nil && !p.network.severed[other] {
			others[boot] = other.node.Instance()
		}
	}
	return others
}

func (p *port) ChangeKeys(change KeyChange) ([]string, error) {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	switch at := slices.Index(p.keys, change.Use+change.Remove); {
	case p.broken != nil:
		return nil, p.broken
	case change.Add != "" && !slices.Contains(p.keys, printOf(change.Add)):
		p.keys = append(p.keys, printOf(change.Add))
	case change.Use != "":
		p.keys = slices.Concat(p.keys[at:at+1], p.keys[:at], p.keys[at+1:])
	case change.Remove != "" && at > 0:
		p.keys = slices.Concat(p.keys[:at], p.keys[at+1:])
	}
	return slices.Clone(p.keys), nil
}

// printOf is the fingerprint of a key.
func printOf(key string) string { return "print of " + key[:3] }

func (p *port) Complete() bool {
	p.network.mu.Lock()
	defer p.network.mu.Unlock()
	return len(p.network.severed) == 0
}

// changed lets all nodes know that who reaches whom has changed.
func (n *network) changed() {
	n.mu.Lock()
	var nodes []*Node
	for _, p := range n.nodes {
		if p.node != nil {
			nodes = append(nodes, p.node)
		}
	}
	n.mu.Unlock()
	for _, node := range nodes {
		node.PeersChanged()
	}
}

// sever cuts a node off from the others, but not from the database.
func (c *cluster) sever(node int) {
	c.network.mu.Lock()
	c.severed[c.network.nodes[c.nodes[node].Boot()]] = true
	c.network.mu.Unlock()
	c.changed()
}

// mend lets all nodes reach each other again.
func (c *cluster) mend() {
	c.network.mu.Lock()
	clear(c.severed)
	c.network.mu.Unlock()
	c.changed()
}

// loseHints makes the network lose all hints from now on, or lose none.
func (c *cluster) loseHints(lose bool) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.silent = lose
}

// misdirect makes letters for a boot arrive at the node that instead names; nil
// ends it.
func (c *cluster) misdirect(instead func(persistence.BootID) *Node) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.lies = nil
	if instead != nil {
		c.lies = func(boot persistence.BootID) *port { return c.network.nodes[instead(boot).Boot()] }
	}
}

// carried counts the letters so far.
func (c *cluster) carried() int {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	return c.letters
}

// told counts the hints so far, once for each node that gets them.
func (c *cluster) told() int {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	return c.hinted
}
