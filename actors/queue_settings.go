package actors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

const (
	// defaultSlots are those of a queue that this node is not configured for, and
	// of which an operator said something.
	defaultSlots = 10
	// refreshPatience bounds the reading of all settings.
	refreshPatience = 5 * time.Second
	// noticePatience bounds it while a renewal waits for it.
	noticePatience = 500 * time.Millisecond
	// statsPatience bounds the counting of all runs that have not ended.
	statsPatience = 10 * time.Second
)

// queueSettings are what operators said of queues, as far as this node has
// heard. It is safe for concurrent use.
type queueSettings struct {
	reading sync.Mutex // what is read later is newer
	known   atomic.Pointer[map[string]knownQueue]
}

// knownQueue is what an operator said of a queue.
type knownQueue struct {
	persistence.QueueSettings
	path persistence.KeyPath // of KeyPath
}

func newQueueSettings() *queueSettings {
	s := &queueSettings{}
	s.known.Store(&map[string]knownQueue{})
	return s
}

// of is what is known of a queue; zero when nobody said anything.
func (s *queueSettings) of(name string) knownQueue { return (*s.known.Load())[name] }

// limitKey is that of an input in a queue; nil if keys do not matter there.
func (q knownQueue) limitKey(input []byte) *string {
	if q.KeyPath == "" {
		return nil
	}
	return new(q.path.Of(input))
}

// refresh reads the settings.
func (s *queueSettings) refresh(ctx context.Context, store persistence.Queues) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	list, err := store.QueueSettings(ctx)
	if err != nil {
		return err
	}
	known := map[string]knownQueue{}
	for _, settings := range list {
		queue := knownQueue{QueueSettings: settings}
		if settings.KeyPath != "" {
			if queue.path, err = persistence.ParseKeyPath(settings.KeyPath); err != nil {
				return err
			}
		}
		known[settings.Name] = queue
	}
	s.known.Store(&known)
	return nil
}

// refreshQueues makes the node follow what operators have said by now.
func (n *Node) refreshQueues(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshPatience)
	defer cancel()
	if err := n.queues.refresh(ctx, n.store); err != nil {
		return err
	}
	if n.started.Load() {
		n.tellDispatcher(queuesChanged{})
	}
	return nil
}

// queuesChanged hears that an operator said something. What fails here, the next
// renewal of the lease makes good.
func (n *Node) queuesChanged() {
	if !n.started.Load() {
		return
	}
	go func() {
		if err := n.refreshQueues(n.stepContext); err != nil {
			n.log.Warn("the settings of queues were not read; the next renewal of the lease reads them", "error", err)
		}
	}()
}

// noticeQueues reads the settings because a renewal says that they have changed,
// before what it lets go on begins. It does not keep the renewal for long.
func (n *Node) noticeQueues(ctx context.Context) (read bool) {
	ctx, cancel := context.WithTimeout(ctx, noticePatience)
	defer cancel()
	err := n.refreshQueues(ctx)
	if err != nil {
		n.log.Warn("the settings of queues were not read; the next renewal of the lease reads them", "error", err)
	}
	return err == nil
}

// slots are how many runs of a queue may run at once here; 0 in a queue that is
// not known.
func (n *Node) slots(queue string) int {
	settings := n.queues.of(queue)
	switch {
	case settings.NodeLimit > 0:
		return settings.NodeLimit
	case n.cfg.Queues[queue] > 0:
		return n.cfg.Queues[queue]
	case settings.Name != "":
		return defaultSlots
	default:
		return 0
	}
}

// queueNames lists the queues that this node has slots for.
func (n *Node) queueNames() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(n.cfg.Queues)), maps.Keys(*n.queues.known.Load()))
	slices.Sort(names)
	return slices.Compact(names)
}

// Queues lists the queues that this node is configured for, of which an operator
// said anything, or that have runs which have not ended.
func (n *Node) Queues(ctx context.Context) ([]workflow.Queue, error) {
	ctx, cancel := context.WithTimeout(ctx, statsPatience)
	defer cancel()
	settings, err := n.store.QueueSettings(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := n.store.QueueStats(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]workflow.Queue{}
	for name := range n.cfg.Queues {
		found[name] = workflow.Queue{Name: name}
	}
	for _, set := range settings {
		found[set.Name] = asQueue(set)
	}
	for _, count := range stats {
		queue := found[count.Queue]
		queue.Name = count.Queue
		queue.Available, queue.Running = min(count.Available, workflow.MostCounted), count.Running
		queue.Scheduled, queue.Retryable = min(count.Scheduled, workflow.MostCounted), min(count.Retryable, workflow.MostCounted)
		queue.Oldest = count.Oldest
		found[count.Queue] = queue
	}
	names := slices.Sorted(maps.Keys(found))
	list, policy := make([]workflow.Queue, len(names)), n.retentionPolicy()
	for i, name := range names {
		list[i] = found[name]
		list[i].Slots, list[i].Kept = n.slots(name), policy.Ages(name)
	}
	return list, nil
}

func asQueue(settings persistence.QueueSettings) workflow.Queue {
	return workflow.Queue{Name: settings.Name, PausedAt: settings.PausedAt, Settings: settings.QueueSettings}
}

// SetQueue changes the settings of a queue, on all nodes, and returns the queue
// as it is set now, without counts.
func (n *Node) SetQueue(ctx context.Context, name string, change workflow.QueueChange) (workflow.Queue, error) {
	queue, _, err := n.changeQueue(ctx, name, func() (persistence.QueueSettings, bool, error) {
		settings, err := n.store.SetQueue(ctx, name, change)
		return settings, true, err
	})
	return queue, err
}

// PauseQueue keeps the runs of a queue from beginning, on all nodes, until
// ResumeQueue. Those that run go on. It reports whether that changed anything.
func (n *Node) PauseQueue(ctx context.Context, name string) (workflow.Queue, bool, error) {
	return n.pauseQueue(ctx, name, true)
}

// ResumeQueue ends PauseQueue.
func (n *Node) ResumeQueue(ctx context.Context, name string) (workflow.Queue, bool, error) {
	return n.pauseQueue(ctx, name, false)
}

func (n *Node) pauseQueue(ctx context.Context, name string, paused bool) (workflow.Queue, bool, error) {
	return n.changeQueue(ctx, name, func() (persistence.QueueSettings, bool, error) {
		return n.store.PauseQueue(ctx, name, paused)
	})
}

// changeQueue makes this node the first to know what it was asked to change.
func (n *Node) changeQueue(
	ctx context.Context, name string, change func() (persistence.QueueSettings, bool, error),
) (workflow.Queue, bool, error) {
	if err := checkQueueName(name); err != nil {
		return workflow.Queue{}, false, err
	}
	known := n.knowsQueue(ctx, name)
	settings, changed, err := change()
	if err != nil {
		return workflow.Queue{}, false, err
	}
	queue := asQueue(settings)
	queue.New = !known
	if err := n.refreshQueues(ctx); err != nil {
		return queue, changed, fmt.Errorf("queue %s is changed, but this node has not read it yet; change it again: %w", name, err)
	}
	return queue, changed, nil
}

func checkQueueName(name string) error {
	if !workflow.ValidName(name) {
		shown := name
		if len(shown) > workflow.MaxName {
			shown = shown[:workflow.MaxName] + "…"
		}
		return workflow.Invalidf("queue", "is %q; expected up to %d letters, digits and any of _-. after the first", shown, workflow.MaxName)
	}
	return nil
}
