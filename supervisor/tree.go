package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// describeTimeout bounds the wait for a supervisor that ends while it is asked.
const describeTimeout = 2 * time.Second

// errStopped is what becomes of a call when the tree has ended.
var errStopped = errors.New("the supervision tree has stopped")

// A Tree is a running tree of supervisors, seen from outside. Its methods may be
// called from any goroutine; those that wait must not be called by an actor of the
// tree.
type Tree struct {
	system  *actor.ActorSystem
	root    *supervisor
	pid     *actor.PID
	mailbox actor.Mailbox
	up      chan struct{}
	done    chan struct{}
	err     error // written before done is closed
}

// Start spawns the root of a tree as the actor called name. It returns when all
// children have started, in order, or else stops those that have and returns an
// error that names the child in question: because ctx is over, or because the
// child needed more restarts than cfg allows.
func Start(ctx context.Context, system *actor.ActorSystem, name string, cfg Config, children ...Child) (*Tree, error) {
	if err := errors.Join(cfg.validate(), validateAll(children)); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t := &Tree{
		system:  system,
		root:    newSupervisor(cfg, children),
		mailbox: unbounded(),
		up:      make(chan struct{}),
		done:    make(chan struct{}),
	}
	t.root.reportTo(func() { close(t.up) })
	t.root.ended = func() { close(t.done) }
	pid, err := system.Root.SpawnNamed(actor.PropsFromProducer(
		func() actor.Actor { return t.root },
		actor.WithReceiverMiddleware(orderly),
		actor.WithMailbox(func() actor.Mailbox { return t.mailbox }),
		actor.WithGuardian(&guardian{t}),
	), name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t.pid = pid

	select {
	case <-t.up:
		return t, nil
	case <-t.done:
		return nil, fmt.Errorf("start %s: %w", name, cmp.Or(t.err, errStopped))
	case <-ctx.Done():
		// The stop takes its own time, which each child's Shutdown bounds.
		patient := context.WithoutCancel(ctx)
		err := fmt.Errorf("start %s: %w: %w", name, t.laggard(patient), context.Cause(ctx))
		return nil, errors.Join(err, t.Stop(patient))
	}
}

// Stop stops all children in order, and returns when they have ended or have been
// left behind. If ctx is over before that, it returns the context's error and the
// stop goes on. Stopping a tree that has ended is no error.
func (t *Tree) Stop(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	default:
		t.system.Root.Poison(t.pid)
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", t.pid.Id, context.Cause(ctx))
	}
}

// Done is closed when the root has ended, because of Stop or because it gave up.
func (t *Tree) Done() <-chan struct{} { return t.done }

// Err returns why the root gave up. It is nil while the root runs and after a stop.
func (t *Tree) Err() error {
	select {
	case <-t.done:
		return t.err
	default:
		return nil
	}
}

// PID returns the pid of the root.
func (t *Tree) PID() *actor.PID { return t.pid }

// Child returns the present pid of the child that path leads to from the root, or
// nil if it does not run. Children of pools cannot be found by their path, but
// they keep their actor ids.
func (t *Tree) Child(path ...string) *actor.PID {
	pid, b := t.pid, branch(t.root)
	for _, name := range path {
		if b == nil {
			return nil
		}
		inc := b.child(name)
		if inc == nil {
			return nil
		}
		pid, b = inc.pid(), inc.branch()
	}
	return pid
}

// Describe returns the whole tree. Supervisors answer one after the other, so it is
// not one moment's picture of all.
func (t *Tree) Describe(ctx context.Context) (Node, error) {
	n := Node{
		Name:    t.pid.Id,
		PID:     address(t.pid),
		Kind:    t.root.kind(),
		State:   Starting,
		Mailbox: t.mailbox.UserMessageCount(),
	}
	select {
	case <-t.up:
		n.State = Running
	default:
	}
	if err := t.fill(ctx, &n, t.pid); err != nil {
		return Node{}, fmt.Errorf("describe %s: %w", t.pid.Id, err)
	}
	return n, nil
}

// fill adds to n what is below it. It asks the branch called pid, and no message
// says so when that ends without an answer.
func (t *Tree) fill(ctx context.Context, n *Node, pid *actor.PID) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	reply := make(chan view, 1)
	t.system.Root.Send(pid, describe{reply})
	var v view
	select {
	case v = <-reply:
	case <-t.done:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	n.More = v.more
	for _, s := range v.children {
		if s.branch != nil {
			// A branch that has ended meanwhile is shown without its children.
			_ = t.fill(ctx, &s.Node, s.branch)
		}
		n.Children = append(n.Children, s.Node)
	}
	return nil
}

// laggard returns an error that names the child which the start is waiting for.
func (t *Tree) laggard(ctx context.Context) error {
	n, err := t.Describe(ctx)
	if err != nil {
		return err
	}
	var path []string
	for {
		i := slices.IndexFunc(n.Children, func(c Node) bool { return c.State != Running && c.State != Stopped })
		if i < 0 {
			break
		}
		n = n.Children[i]
		path = append(path, n.Name)
	}
	switch {
	case len(path) == 0:
		return errors.New("all children are up")
	case n.LastFailure != "":
		return fmt.Errorf("child %q is %s after %s", strings.Join(path, "/"), n.State, n.LastFailure)
	default:
		return fmt.Errorf("child %q is %s", strings.Join(path, "/"), n.State)
	}
}

// guardian is the supervisor of the root.
type guardian struct{ tree *Tree }

// HandleFailure keeps the reason and lets the root end. It runs on the root's
// goroutine.
func (g *guardian) HandleFailure(_ *actor.ActorSystem, self actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	g.tree.err = asError(reason)
	self.StopChildren(who)
}
