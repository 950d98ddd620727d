package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"

	"singularity/persistence"
	"singularity/supervisor"
	"singularity/workflow"
)

// directory holds the agents whose code is on this node. Of an agent whose
// code is on several nodes it lives on one, its home, as the store says; on the
// others it stands by. It is safe for concurrent use.
type directory struct {
	node     *Node
	settling chan struct{} // has room for one: agents settle one after the other

	mu   sync.Mutex
	here map[string]*resident
}

// resident is an agent whose code is on this node. Its values never change.
type resident struct {
	kind    persistence.AgentKind
	code    consumer // its epoch is the last one in which the agent lived here
	live    bool     // the code is there to take messages
	standby bool     // the agent lives elsewhere
}

func newDirectory(node *Node) *directory {
	return &directory{node: node, settling: make(chan struct{}, 1), here: map[string]*resident{}}
}

// turn waits until nobody settles, and returns what ends the turn.
func (d *directory) turn(ctx context.Context) (done func(), err error) {
	select {
	case d.settling <- struct{}{}:
		return func() { <-d.settling }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// agentPID is the name under which an agent's actor is found.
func agentPID(name string) string { return "agent/" + name }

func (d *directory) find(name string) *resident {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.here[name]
}

func (d *directory) put(name string, r resident) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.here[name] = &r
}

func (d *directory) all() map[string]*resident {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.here)
}

func (d *directory) tell(name string, message any) {
	d.node.system.Root.Send(d.node.pid(agentPID(name)), message)
}

// arrived lets an agent know that its inbox has something new, wherever it
// lives.
func (d *directory) arrived(name string) {
	if !d.wake(name) {
		d.node.tellInbox(name)
	}
}

// wake is [directory.arrived] for agents that live here, and reports whether
// this one does.
func (d *directory) wake(name string) bool {
	r := d.find(name)
	if r == nil || r.standby {
		return false
	}
	d.tell(name, inboxChanged{})
	return true
}

// epoch returns the epoch under which an agent that lives here takes messages.
func (d *directory) epoch(name string) (int64, bool) {
	if r := d.find(name); r != nil && !r.standby {
		return r.code.epoch, true
	}
	return 0, false
}

// live reports whether an agent is there to take messages. Of one that lives
// elsewhere it knows only that its home is there.
func (d *directory) live(agent persistence.Agent) bool {
	if agent.Boot != d.node.Boot() {
		return agent.Alive
	}
	r := d.find(agent.Name)
	return r != nil && r.live && !r.standby
}

// code is what takes the messages to an agent now; nothing does while it stands
// by.
func (d *directory) code(name string) consumer {
	r := d.find(name)
	code := r.code
	if r.standby {
		code.take = nil
	}
	return code
}

// left says that the agent of the given epoch is gone.
func (d *directory) left(name string, epoch int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := *d.here[name]; r.code.epoch == epoch {
		r.live = false
		d.here[name] = &r
	}
}

// settle registers an agent in the store and sees to its actor. A function
// whose name is taken by another living node stands by.
func (d *directory) settle(ctx context.Context, name string, kind persistence.AgentKind, code consumer) error {
	if !workflow.ValidName(name) {
		return workflow.Invalidf("agent", "is %q; expected a name of letters, digits, _, - or .", name)
	}
	done, err := d.turn(ctx)
	if err != nil {
		return fmt.Errorf("register agent %s: %w", name, err)
	}
	defer done()
	before := d.find(name)
	if before != nil && (before.kind == persistence.AgentBuiltIn || kind == persistence.AgentBuiltIn) {
		return fmt.Errorf("%w: agent %s is a function registered in this process", workflow.ErrWrongState, name)
	}
	epoch, err := d.register(ctx, name, kind, kind == persistence.AgentAttached)
	taken := errors.Is(err, persistence.ErrAgentTaken)
	switch {
	case taken && kind == persistence.AgentAttached:
		return fmt.Errorf("%w: agent %s is a function registered in another process", workflow.ErrWrongState, name)
	case err != nil && !taken:
		return err
	}
	code.epoch = epoch
	d.put(name, resident{kind: kind, code: code, live: true, standby: taken})
	if before != nil && before.code.release != nil {
		before.code.release()
	}
	if before == nil {
		d.node.system.Root.Send(d.node.pid("agents"), supervisor.StartChild{Child: supervisor.Child{
			Name: name, PID: agentPID(name), Props: newAgentProps(d.node, name),
		}})
	} else {
		d.tell(name, settled{})
	}
	if !taken {
		d.node.tellMoved(name, epoch)
	}
	return nil
}

// register makes the node's boot the home of an agent.
func (d *directory) register(ctx context.Context, name string, kind persistence.AgentKind, replace bool) (epoch int64, err error) {
	epoch, err = d.node.store.RegisterAgent(ctx, persistence.Agent{Name: name, Kind: kind, Boot: d.node.Boot()}, replace)
	if err != nil {
		return 0, fmt.Errorf("register agent %s: %w", name, err)
	}
	return epoch, nil
}

// suspend lets no agent take messages until it settles again: the boot under
// which they live here has ended.
func (d *directory) suspend() {
	for name := range d.all() {
		d.tell(name, homeLost{})
	}
}

// settleAgain registers all agents whose code is here under the node's new
// boot. Those that live elsewhere by now stand by.
func (d *directory) settleAgain(ctx context.Context) error {
	done, err := d.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	for name, r := range d.all() {
		if !r.live {
			continue
		}
		if err := d.resume(ctx, name, *r); err != nil {
			return err
		}
	}
	return nil
}

// resume makes an agent live here whose code is here, unless it lives on another
// node.
func (d *directory) resume(ctx context.Context, name string, r resident) error {
	epoch, err := d.register(ctx, name, r.kind, false)
	switch {
	case errors.Is(err, persistence.ErrAgentTaken):
		d.standBy(name, math.MaxInt64)
		return nil
	case err != nil:
		return err
	}
	r.code.epoch, r.standby = epoch, false
	d.put(name, r)
	d.tell(name, settled{})
	d.node.tellMoved(name, epoch)
	return nil
}

// moved takes in that an agent has lived elsewhere since the given epoch.
func (d *directory) moved(name string, epoch int64) {
	if d.standBy(name, epoch) {
		d.node.log.Info("an agent lives on another node now", "agent", name, "epoch", epoch)
	}
}

// standBy leaves an agent to another node that lives here in an epoch before the
// given one. Who is attached here learns it by the end of the stream.
func (d *directory) standBy(name string, epoch int64) bool {
	d.mu.Lock()
	found := d.here[name]
	if found == nil || found.standby || found.code.epoch >= epoch {
		d.mu.Unlock()
		return false
	}
	r := *found
	r.standby = true
	d.here[name] = &r
	d.mu.Unlock()
	d.tell(name, homeLost{})
	if r.code.release != nil {
		r.code.release()
	}
	return true
}

// lookAround finds what nobody told: messages for agents that live here, agents
// that have moved, and those whose home has ended, which move here if their
// code is here.
func (d *directory) lookAround(ctx context.Context) error {
	if d.node.shared == nil || len(d.all()) == 0 {
		return nil
	}
	done, err := d.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	agents, err := d.node.store.Agents(ctx)
	if err != nil {
		return err
	}
	for _, agent := range agents {
		r := d.find(agent.Name)
		switch {
		case r == nil:
		case r.standby && r.live && (!agent.Alive || agent.Boot == d.node.Boot()) && d.node.standing.good() && !d.node.draining.Load():
			if err := d.resume(ctx, agent.Name, *r); err != nil {
				return err
			}
		case r.standby:
		case agent.Epoch > r.code.epoch:
			d.moved(agent.Name, agent.Epoch)
		case agent.Waiting > 0:
			d.tell(agent.Name, inboxChanged{})
		}
	}
	return nil
}
