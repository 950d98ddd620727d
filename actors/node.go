package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/centralcloud"
	"singularity/persistence"
	"singularity/supervisor"
	"singularity/workflow"
)

// Config is how a [Node] is set up.
type Config struct {
	// Instance is the label that people know this process by. Defaults to
	// host:pid.
	Instance string
	// Version of the program, for the registry of boots.
	Version string
	// Queues are the names of the queues and how many of their runs may run at
	// once here. Defaults to default 10, metrics 5, training 2, pattern_mining 3.
	Queues map[string]int
	// Retention says how long ended runs are kept.
	Retention persistence.RetentionPolicy
	// Journal tunes the journal.
	Journal JournalConfig
	// Capabilities says in the registry what this process can do, as a JSON
	// object, to which its queues are added. Defaults to {}.
	Capabilities string
	// Peers are the other nodes of the store. Defaults to nobody: then the sweeps
	// find what others leave behind.
	Peers Peers
	// CentralCloud is the hub that learns from all nodes. Defaults to none.
	CentralCloud CentralCloud
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	hostname, _ := os.Hostname()
	c.Instance = cmp.Or(c.Instance, fmt.Sprintf("%s:%d", cmp.Or(hostname, "localhost"), os.Getpid()))
	if c.Queues == nil {
		c.Queues = map[string]int{"default": 10, "metrics": 5, "training": 2, "pattern_mining": 3}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Journal.Logger == nil {
		c.Journal.Logger = c.Logger
	}
	if c.Peers == nil {
		c.Peers = nobody{}
	}
	c.Retention = c.Retention.WithDefaults()
	c.CentralCloud = c.CentralCloud.withDefaults()
	return c
}

func (c Config) validate() error {
	var errs []error
	for name, limit := range c.Queues {
		if limit < 1 {
			errs = append(errs, fmt.Errorf("queue %s: limit %d is not positive", name, limit))
		}
		if !workflow.ValidName(name) {
			errs = append(errs, fmt.Errorf("queue %q is no name: expected letters, digits and any of _-. after the first", name))
		}
	}
	errs = append(errs, c.Retention.Validate(), c.CentralCloud.validate())
	if c.Journal.Writers < 0 {
		errs = append(errs, fmt.Errorf("%d writers of the journal is a negative number", c.Journal.Writers))
	}
	if len(c.Queues) == 0 {
		errs = append(errs, errors.New("no queues are configured"))
	}
	return errors.Join(errs...)
}

// Node runs runs: the supervised actors of one process around one store. Its
// methods are safe for concurrent use.
type Node struct {
	cfg      Config
	log      *slog.Logger
	store    persistence.Store
	shared   persistence.Shared     // the store, when other processes use it too; else nil
	steps    persistence.Transactor // the store, when it runs steps in transactions; else nil
	identity persistence.Boot       // of the process: its boots, but for their ids
	standing *standing
	journal  *Journal
	watchers *watchers
	peers    Peers
	awaited  *awaited // by peers
	spacing  *spacing // of what peers are told
	catalog  *catalog
	agents   *directory
	queues   *queueSettings
	results  *results // nil without a hub
	learned  atomic.Pointer[centralcloud.Learned]

	system         *actor.ActorSystem
	tree           *supervisor.Tree
	dispatcher     *actor.PID
	dispatcherLife *lifeline
	runs           *actor.PID
	batches        *actor.PID
	marks          atomic.Int64 // given to the launches of runs and to their actors
	load           atomic.Int64 // runs that have a slot
	elsewhere      atomic.Bool  // runs run on other nodes
	takeovers      takeoverCounts
	lostSlots      atomic.Int64
	pruned         atomic.Int64 // runs that were deleted here
	learningCounts learningCounts
	deadlineLook   atomic.Int64 // when it is next looked for runs whose deadline is over, by the clock of this machine; later for those that look now
	retentionWaits atomic.Int64 // nanoseconds that a run which prunes has waited for a slot, as last seen

	// stepContext is above the contexts of all steps; it ends after the last
	// chance that a stopping node gives them.
	stepContext context.Context //nolint:containedctx // it lasts as long as the node
	endSteps    context.CancelFunc

	started    atomic.Bool
	draining   atomic.Bool
	failOnce   sync.Once
	failure    error
	failed     chan struct{}
	askOnce    sync.Once
	drainAsked chan struct{}
	stopOnce   sync.Once
	stopping   chan struct{} // closed when the node begins to drain
	stopErr    error
}

// NewNode makes a node on a store. Register workflows, then call Start.
func NewNode(store persistence.Store, cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	capabilities, err := withQueues(cfg.Capabilities, cfg.Queues)
	if err != nil {
		return nil, err
	}
	hostname, _ := os.Hostname()
	transactions, _ := store.(persistence.Transactor)
	shared, _ := store.(persistence.Shared)
	if shared != nil {
		cfg.Journal.KeyWriter = true // others' transactions may hold a key
	}
	n := &Node{
		cfg:      cfg,
		log:      cfg.Logger,
		store:    store,
		shared:   shared,
		steps:    transactions,
		journal:  NewJournal(store, cfg.Journal),
		watchers: newWatchers(),
		peers:    cfg.Peers,
		awaited:  newAwaited(),
		spacing:  newSpacing(),
		catalog:  newCatalog(transactions != nil),
		queues:   newQueueSettings(),
		failed:   make(chan struct{}),

		drainAsked:     make(chan struct{}),
		stopping:       make(chan struct{}),
		dispatcherLife: newLifeline(),

		identity: persistence.Boot{
			Instance: cfg.Instance, Hostname: hostname, PID: os.Getpid(),
			Version: cfg.Version, Capabilities: capabilities,
		},
	}
	n.standing = newStanding(n.newBoot())
	n.agents = newDirectory(n)
	n.learned.Store(&centralcloud.Learned{})
	if cfg.CentralCloud.Queue != nil {
		n.results = &results{}
		n.journal.onLanded = n.results.landed
		if cfg.CentralCloud.Present == nil {
			n.results.begin()
		}
	}
	n.stepContext, n.endSteps = context.WithCancel(context.Background())
	return n, n.catalog.register(n.pruning())
}

// Start joins the store, takes back the runs that dead boots left and starts
// the actors. It returns when they are up; runs go on by themselves.
func (n *Node) Start(ctx context.Context) error {
	boot := n.standing.boot()
	if n.shared != nil {
		n.shared.Listen(persistence.Listener{
			Enqueued: n.enqueued, QueuesChanged: n.queuesChanged, ScheduleChanged: n.scheduleChanged, RunCancelled: n.runCancelled,
			HubAnnounced: n.hubAnnounced,
		})
	}
	err := n.join(ctx, boot)
	if err != nil {
		n.peers.Close()
		return err
	}
	err = n.renewFirst(ctx, boot)
	if err == nil {
		err = n.refreshQueues(ctx)
	}
	if err == nil {
		err = n.loadFromHub(ctx)
	}
	if err == nil {
		err = n.startActors(ctx)
	}
	if err != nil {
		err = errors.Join(err, n.store.Leave(context.WithoutCancel(ctx), boot.ID))
		n.peers.Close()
	}
	return err
}

// loadFromHub makes a node that has a hub know what it was taught before. Where it
// cannot be known whether there is one, it is asked again.
func (n *Node) loadFromHub(ctx context.Context) error {
	if _, err := n.seekHub(ctx); err != nil {
		n.log.Warn("it is not known whether there is a hub in this node's database; it is asked again", "error", err)
	}
	if !n.results.on() {
		return nil
	}
	return n.loadLearned(ctx)
}

// join makes a boot known: to the other nodes, and then to the store, which says
// where they find it.
func (n *Node) join(ctx context.Context, boot persistence.Boot) (err error) {
	if boot.Addresses, err = n.peers.Open(ctx, boot); err != nil {
		return err
	}
	if err := n.store.Join(ctx, boot); err != nil {
		return fmt.Errorf("join the store: %w", err)
	}
	return nil
}

// renewFirst makes the node begin with a lease that it knows to be good.
func (n *Node) renewFirst(ctx context.Context, boot persistence.Boot) error {
	if n.shared == nil {
		return nil
	}
	sent := time.Now()
	_, err := n.shared.Renew(ctx, boot.ID, persistence.Status{State: persistence.NodeAlive, Public: true})
	if err != nil {
		return fmt.Errorf("renew the lease for the first time: %w", err)
	}
	n.standing.renewed(sent)
	return nil
}

// scheduleChanged hears that somebody has changed a schedule.
func (n *Node) scheduleChanged(string) {
	if n.started.Load() {
		n.system.Root.Send(n.pid("schedules"), schedulesChanged{})
	}
}

// enqueued hears that somebody else has put runs into a queue.
func (n *Node) enqueued(queue string) {
	if n.started.Load() {
		n.tellDispatcher(released{queue: queue, heard: true})
	}
}

func (n *Node) startActors(ctx context.Context) error {
	if err := n.releaseOrphans(ctx, func(persistence.Reassigned) {}); err != nil {
		return fmt.Errorf("take back the runs of dead processes: %w", err)
	}
	n.system = newActorSystem(n.log)
	n.dispatcher = n.pid("dispatcher")
	n.runs = n.pid("runs")
	n.batches = n.pid("batches")
	children := []supervisor.Child{
		{Name: "journal", PID: "journal", Props: newJournalProps(n.journal)},
		{Name: "runs", PID: "runs", Props: func(int) *actor.Props {
			return supervisor.PoolProps(supervisor.PoolConfig{Logger: n.log, OnGaveUp: n.runGaveUp})
		}},
		{Name: "agents", PID: "agents", Props: func(int) *actor.Props {
			return supervisor.PoolProps(supervisor.PoolConfig{Logger: n.log})
		}},
		{Name: "dispatcher", PID: "dispatcher", Props: newDispatcherProps(n)},
		{Name: "batches", PID: "batches", Props: func(int) *actor.Props { return newBatchesProps(n) }},
		{Name: "schedules", PID: "schedules", Props: func(int) *actor.Props { return newSchedulesProps(n) }},
		{Name: "deadlines", PID: "deadlines", Props: func(int) *actor.Props { return newDeadlinesProps(n) }},
		{Name: "retention", PID: "retention", Props: func(int) *actor.Props { return newRetentionProps(n) }},
	}
	if n.results != nil {
		children = append(children,
			supervisor.Child{Name: syncActorName, PID: syncActorName, Props: func(int) *actor.Props { return newSyncProps(n) }},
			supervisor.Child{Name: learningsActorName, PID: learningsActorName, Props: func(int) *actor.Props { return newLearningsProps(n) }})
	}
	if n.shared != nil {
		// First to start and last to stop: the lease outlives the last step.
		session := supervisor.Child{Name: "session", PID: "session", Props: newSessionProps(n, n.shared)}
		children = slices.Insert(children, 0, session)
	}
	tree, err := supervisor.Start(ctx, n.system, "singularity", supervisor.Config{Logger: n.log}, children...)
	if err != nil {
		return fmt.Errorf("start the actors: %w", err)
	}
	n.tree = tree
	n.started.Store(true)
	n.hubAnnounced() // as it may have been while the actors started
	n.system.Root.Send(n.pid("retention"), lookForExpired{})
	go n.guard()
	return nil
}

// guard fails the node when its tree gives up. It ends with the tree.
func (n *Node) guard() {
	<-n.tree.Done()
	n.journal.close()
	if err := n.tree.Err(); err != nil {
		n.fail(fmt.Errorf("the supervision tree gave up: %w", err))
	}
}

// Register adds all versions of a workflow; its stored runs go on.
func (n *Node) Register(newest workflow.Definition, older ...workflow.Definition) error {
	if err := checkName(newest); err != nil {
		return err
	}
	if err := n.catalog.register(newest, older...); err != nil {
		return err
	}
	if n.tree != nil {
		n.tellDispatcher(lookNow{})
		n.tellBatches(batchesStirred{})
		n.scheduleChanged("")
	}
	return nil
}

// Stop drains the node: it takes no more starts, lets the steps under way
// finish until ctx ends, hands over the runs that have not ended, and stops
// the actors in order. It may be called twice.
func (n *Node) Stop(ctx context.Context) error {
	n.stopOnce.Do(func() { n.stopErr = n.stop(ctx) })
	return n.stopErr
}

func (n *Node) stop(ctx context.Context) error {
	defer n.endSteps()
	if n.tree == nil {
		return nil
	}
	n.draining.Store(true)
	close(n.stopping)
	n.announceLeave(ctx)
	drained := n.drain(ctx, false)
	if !drained {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace+2*time.Second)
		defer cancel()
		drained = n.drain(late, true)
	}
	n.lastResults(context.WithoutCancel(ctx), drained)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := errors.Join(n.tree.Stop(last), n.leave(last))
	n.tellBootEnded(n.Boot()) // its agents move
	n.peers.Close()
	return err
}

// announceLeave is for the others not to take what follows for a death.
func (n *Node) announceLeave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	n.peers.Leave(ctx)
}

// leave ends the boot. A store that cannot be reached is asked again, until the
// lease would be over anyway.
func (n *Node) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, persistence.LeaseTerm)
	defer cancel()
	for delay := firstRepeat; ; delay = min(2*delay, lastRepeat) {
		err := n.store.Leave(ctx, n.standing.boot().ID)
		if !errors.Is(err, workflow.ErrUnavailable) || !pause(ctx, delay) {
			return err
		}
	}
}

// drain makes all runs leave memory and waits until they have.
func (n *Node) drain(ctx context.Context, now bool) bool {
	for {
		lost, err := n.dispatcherLife.reach(ctx, n.tree.Done())
		if err != nil {
			return errors.Is(err, errNodeStopped) // nobody is left to wait for
		}
		empty := make(chan struct{})
		n.tellDispatcher(drainAll{now, empty})
		select {
		case <-empty:
			return true
		case <-lost:
		case <-ctx.Done():
			return false
		}
	}
}

// Done is closed when the node gave up by itself; Err says why. What it held
// goes on in the next process.
func (n *Node) Done() <-chan struct{} { return n.failed }

// Err is nil until Done is closed.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.failure
	default:
		return nil
	}
}

func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.log.Error("the node gives up", "error", err)
		n.failure = err
		close(n.failed)
	})
}

// Ready returns nil when the node takes and runs work, and else why not.
func (n *Node) Ready(context.Context) error {
	switch {
	case n.Err() != nil:
		return n.Err()
	case n.draining.Load():
		return workflow.ErrDraining
	case !n.standing.good():
		return n.standing.overdue()
	default:
		return n.journal.Outage()
	}
}

func (n *Node) pid(name string) *actor.PID { return actor.NewPID(n.system.Address(), name) }

func (n *Node) tellDispatcher(message any) { n.system.Root.Send(n.dispatcher, message) }

func (n *Node) runGaveUp(g supervisor.GaveUp) {
	if id, err := workflow.ParseRunID(g.Name); err == nil {
		n.tellDispatcher(gaveUp{id, g.Err})
	}
}

// runsInMemory lists the runs that have an actor.
func (n *Node) runsInMemory() []workflow.RunID {
	var ids []workflow.RunID
	for _, bucket := range n.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(name string, _ any) { // Keys would start 32 goroutines for each
			text, isRun := strings.CutPrefix(name, runPrefix)
			if id, err := workflow.ParseRunID(text); isRun && err == nil {
				ids = append(ids, id)
			}
		})
	}
	return ids
}

// warnings leaves out what protoactor says below the level of a warning: that
// its parts start and stop, and each late message, with all that is in it.
type warnings struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
