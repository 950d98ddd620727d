package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// database is what the nodes of a bubble share: their runs, and their leases.
type database struct {
	runs *memory.Store

	mu     sync.Mutex
	leases map[persistence.BootID]*lease
	down   bool
	calls  int   // of Declare that ended a boot
	queues int64 // changes of the settings of queues
	muted  bool  // no notification of them arrives
}

type lease struct {
	link     *link
	instance string
	until    time.Time
	renewals int64
	ended    bool
	status   persistence.Status // of the last renewal
}

func newDatabase() *database {
	return &database{runs: memory.New(), leases: map[persistence.BootID]*lease{}}
}

// link is one node's way to the database.
type link struct {
	*memory.Store
	database *database
	since    time.Time // of its unbroken session
	cut      bool      // nothing passes
	deaf     bool      // renewals do not pass
	lockFree bool      // the database has noticed that the session is gone
	listener persistence.Listener
	slow     time.Duration // that registering an agent takes
	firing   func(context.Context, string, persistence.Decide) (persistence.ScheduleView, bool, error)
	calls    map[string]int // to the database, by what they ask
	fatal    string         // the call at which the node dies
}

var _ persistence.Shared = (*link)(nil)

func (d *database) link() *link {
	return &link{Store: d.runs, database: d, calls: map[string]int{}}
}

// set changes what a test has in its hands.
func (d *database) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *database) declared() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// called counts a call, which may not pass.
func (l *link) called(what string) error {
	l.database.mu.Lock()
	defer l.database.mu.Unlock()
	l.calls[what]++
	if what == l.fatal {
		l.cut, l.lockFree = true, true
	}
	return l.passes()
}

func (l *link) passes() error {
	if l.cut || l.database.down {
		l.since = time.Time{}
		return errDown
	}
	return nil
}

func (l *link) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	if err := l.called("commit"); err != nil {
		return nil, err
	}
	ran := map[workflow.RunID]bool{}
	for _, write := range batch {
		if run, err := l.Store.Run(ctx, write.Subject()); err == nil {
			ran[run.ID] = run.State == workflow.Running
		}
	}
	verdicts, err := l.Store.Commit(ctx, batch)
	for i, write := range batch {
		if _, cancels := write.(persistence.Cancel); cancels && err == nil && verdicts[i].Err == nil && ran[write.Subject()] {
			l.database.tell(func(listener persistence.Listener) { listener.RunCancelled(write.Subject()) })
		}
	}
	return verdicts, err
}

func (l *link) Expire(ctx context.Context, boot persistence.BootID, limit int) (persistence.Overdue, error) {
	if err := l.called("expire"); err != nil {
		return persistence.Overdue{}, err
	}
	return l.Store.Expire(ctx, boot, limit)
}

func (l *link) Run(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	if err := l.called("run"); err != nil {
		return workflow.Run{}, err
	}
	return l.Store.Run(ctx, id)
}

func (l *link) Owned(ctx context.Context, boot persistence.BootID) ([]workflow.RunID, error) {
	if err := l.called("owned"); err != nil {
		return nil, err
	}
	return l.Store.Owned(ctx, boot)
}

func (l *link) Backlog(ctx context.Context, known []persistence.Definition) ([]persistence.Backlog, error) {
	if err := l.called("backlog"); err != nil {
		return nil, err
	}
	return l.Store.Backlog(ctx, known)
}

func (l *link) Reassign(ctx context.Context, limit int) (persistence.Reassigned, error) {
	if err := l.called("reassign"); err != nil {
		return persistence.Reassigned{}, err
	}
	return l.Store.Reassign(ctx, limit)
}

func (l *link) RegisterAgent(ctx context.Context, agent persistence.Agent, replace bool) (int64, error) {
	if err := l.called("register agent"); err != nil {
		return 0, err
	}
	time.Sleep(l.slow)
	return l.Store.RegisterAgent(ctx, agent, replace)
}

func (l *link) Agent(ctx context.Context, name string) (persistence.Agent, error) {
	if err := l.called("agent"); err != nil {
		return persistence.Agent{}, err
	}
	return l.Store.Agent(ctx, name)
}

func (l *link) Agents(ctx context.Context) ([]persistence.Agent, error) {
	if err := l.called("agents"); err != nil {
		return nil, err
	}
	return l.Store.Agents(ctx)
}

func (l *link) Inbox(ctx context.Context, agent string, after int64, limit int) ([]persistence.InboxMessage, error) {
	if err := l.called("inbox"); err != nil {
		return nil, err
	}
	return l.Store.Inbox(ctx, agent, after, limit)
}

func (l *link) Schedules(ctx context.Context) ([]workflow.Schedule, time.Time, error) {
	if err := l.called("schedules"); err != nil {
		return nil, time.Time{}, err
	}
	return l.Store.Schedules(ctx)
}

func (l *link) ChangeSchedule(ctx context.Context, name string, decide persistence.Decide) (*workflow.Schedule, error) {
	if err := l.called("change schedule"); err != nil {
		return nil, err
	}
	after, err := l.Store.ChangeSchedule(ctx, name, decide)
	if err == nil {
		l.database.tell(func(listener persistence.Listener) { listener.ScheduleChanged(name) })
	}
	return after, err
}

func (l *link) FireSchedule(ctx context.Context, name string, decide persistence.Decide) (persistence.ScheduleView, bool, error) {
	if err := l.called("fire schedule"); err != nil {
		return persistence.ScheduleView{}, false, err
	}
	if l.firing != nil {
		return l.firing(ctx, name, decide)
	}
	return l.Store.FireSchedule(ctx, name, decide)
}

// tell lets all nodes hear of a transaction.
func (d *database) tell(hear func(persistence.Listener)) {
	var listeners []persistence.Listener
	d.set(func() {
		for _, lease := range d.leases {
			if !d.muted && !lease.ended && !lease.link.cut {
				listeners = append(listeners, lease.link.listener)
			}
		}
	})
	for _, listener := range listeners {
		hear(listener)
	}
}

func (l *link) Owner(ctx context.Context, run workflow.RunID) (persistence.BootID, error) {
	if err := l.called("owner"); err != nil {
		return "", err
	}
	if _, err := l.Store.Run(ctx, run); err != nil {
		return "", err
	}
	l.database.mu.Lock()
	defer l.database.mu.Unlock()
	for boot := range l.database.leases {
		if owned, _ := l.Store.Owned(ctx, boot); slices.Contains(owned, run) {
			return boot, nil
		}
	}
	return "", nil
}

func (l *link) Join(ctx context.Context, boot persistence.Boot) error {
	l.database.mu.Lock()
	defer l.database.mu.Unlock()
	if err := l.passes(); err != nil {
		return err
	}
	l.since = time.Now()
	l.database.leases[boot.ID] = &lease{link: l, instance: boot.Instance, until: time.Now().Add(persistence.LeaseTerm)}
	return l.Store.Join(ctx, boot)
}

func (l *link) Leave(ctx context.Context, boot persistence.BootID) error {
	l.database.mu.Lock()
	defer l.database.mu.Unlock()
	if err := l.passes(); err != nil {
		return err
	}
	l.database.leases[boot].ended = true
	return l.Store.Leave(ctx, boot)
}

func (l *link) Renew(_ context.Context, boot persistence.BootID, status persistence.Status) (persistence.Renewal, error) {
	l.database.mu.Lock()
	defer l.database.mu.Unlock()
	if err := l.passes(); err != nil {
		return persistence.Renewal{}, err
	}
	if l.deaf {
		return persistence.Renewal{}, errDown
	}
	now := time.Now()
	own := l.database.leases[boot]
	if own.ended {
		return persistence.Renewal{}, fmt.Errorf("renew: %w", persistence.ErrFenced)
	}
	if l.since.IsZero() {
		l.since = now
	}
	own.until, own.status, l.lockFree = now.Add(persistence.LeaseTerm), status, false
	own.renewals++
	found := persistence.Renewal{Unbroken: now.Sub(l.since), Queues: l.database.queues}
	for id, other := range l.database.leases {
		left := other.until.Sub(now)
		if id == boot {
			continue
		}
		if owned, _ := l.database.runs.Owned(context.Background(), id); len(owned) > 0 {
			found.Elsewhere = true
		}
		asked := slices.Contains(status.Suspected, id)
		if !other.ended && (other.link.lockFree || left < persistence.LeaseTerm-1500*time.Millisecond || asked) {
			found.Suspects = append(found.Suspects, persistence.Suspect{
				Boot: id, Instance: other.instance, Renewals: other.renewals, LockFree: other.link.lockFree, Left: left,
			})
		}
	}
	return found, nil
}

func (l *link) Declare(ctx context.Context, judge persistence.BootID, charge persistence.Charge) (bool, error) {
	l.database.mu.Lock()
	defer l.database.mu.Unlock()
	if err := l.passes(); err != nil {
		return false, err
	}
	other := l.database.leases[charge.Boot]
	switch {
	case other.ended:
		return false, nil
	case charge.Ground == persistence.Crashed && (!other.link.lockFree || other.renewals != charge.Renewals):
		return false, nil
	case charge.Ground == persistence.Lapsed && time.Now().Before(other.until):
		return false, nil
	}
	other.ended = true
	l.database.calls++
	return l.Store.Declare(ctx, judge, charge)
}

func (l *link) Ended(ctx context.Context, runs []workflow.RunID) ([]workflow.RunID, error) {
	if err := l.called("ended"); err != nil {
		return nil, err
	}
	var ended []workflow.RunID
	for _, id := range runs {
		if run, err := l.Store.Run(ctx, id); err == nil && run.State.Terminal() {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

func (l *link) InsertBatch(ctx context.Context, page persistence.BatchPage, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if err := l.called("insert batch"); err != nil {
		return nil, err
	}
	return l.Store.InsertBatch(ctx, page, inserts)
}

func (l *link) OpenBatches(ctx context.Context) ([]string, error) {
	if err := l.called("open batches"); err != nil {
		return nil, err
	}
	return l.Store.OpenBatches(ctx)
}

func (l *link) RipeBatches(ctx context.Context, ids []string) ([]string, error) {
	if err := l.called("ripe batches"); err != nil {
		return nil, err
	}
	return l.Store.RipeBatches(ctx, ids)
}

func (l *link) EndBatch(ctx context.Context, id string, callback persistence.Callback) (bool, error) {
	if err := l.called("end batch"); err != nil {
		return false, err
	}
	ended, err := l.Store.EndBatch(ctx, id, callback)
	return ended, errors.Join(err, l.called("end batch answered"))
}

func (l *link) ReadRecords(ctx context.Context, boot persistence.BootID, from time.Time, each func(persistence.Record) error) (persistence.Stretch, error) {
	if err := l.called("read records"); err != nil {
		return persistence.Stretch{}, err
	}
	return l.Store.ReadRecords(ctx, boot, from, each)
}

func (l *link) NoteCounted(ctx context.Context, boot persistence.BootID, until time.Time, last bool) error {
	if err := l.called("note counted"); err != nil {
		return err
	}
	return l.Store.NoteCounted(ctx, boot, until, last)
}

func (l *link) Uncounted(ctx context.Context) ([]persistence.UncountedBoot, error) {
	if err := l.called("uncounted"); err != nil {
		return nil, err
	}
	return l.Store.Uncounted(ctx)
}

func (l *link) RecordsOf(ctx context.Context, run workflow.RunID) ([]persistence.Record, error) {
	if err := l.called("records of"); err != nil {
		return nil, err
	}
	return l.Store.RecordsOf(ctx, run)
}

func (l *link) Score(ctx context.Context, id persistence.RecordID, score workflow.Score) (map[string]float64, error) {
	if err := l.called("score"); err != nil {
		return nil, err
	}
	return l.Store.Score(ctx, id, score)
}

func (l *link) Rescored(ctx context.Context) ([]persistence.RescoredEpoch, error) {
	if err := l.called("rescored"); err != nil {
		return nil, err
	}
	return l.Store.Rescored(ctx)
}

func (l *link) ReadEpoch(ctx context.Context, boot persistence.BootID, epoch time.Time, each func(persistence.Record) error) error {
	if err := l.called("read epoch"); err != nil {
		return err
	}
	return l.Store.ReadEpoch(ctx, boot, epoch, each)
}

func (l *link) NoteRescored(ctx context.Context, records []persistence.Record) error {
	if err := l.called("note rescored"); err != nil {
		return err
	}
	return l.Store.NoteRescored(ctx, records)
}

func (l *link) KeepLearnings(ctx context.Context, learnings []persistence.Learning) error {
	if err := l.called("keep learnings"); err != nil {
		return err
	}
	return l.Store.KeepLearnings(ctx, learnings)
}

func (l *link) Learnings(ctx context.Context) ([]persistence.Learning, error) {
	if err := l.called("learnings"); err != nil {
		return nil, err
	}
	return l.Store.Learnings(ctx)
}

func (l *link) Listen(listener persistence.Listener) { l.listener = listener }

func (l *link) QueueSettings(ctx context.Context) ([]persistence.QueueSettings, error) {
	if err := l.called("queues"); err != nil {
		return nil, err
	}
	return l.Store.QueueSettings(ctx)
}

func (l *link) SetQueue(ctx context.Context, name string, change workflow.QueueChange) (persistence.QueueSettings, error) {
	if err := l.called("set queue"); err != nil {
		return persistence.QueueSettings{}, err
	}
	defer l.database.notify()
	return l.Store.SetQueue(ctx, name, change)
}

func (l *link) PauseQueue(ctx context.Context, name string, paused bool) (persistence.QueueSettings, bool, error) {
	if err := l.called("pause queue"); err != nil {
		return persistence.QueueSettings{}, false, err
	}
	defer l.database.notify()
	return l.Store.PauseQueue(ctx, name, paused)
}

// notify tells all sessions that the settings of queues have changed.
func (d *database) notify() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queues++
	for _, lease := range d.leases {
		if !d.muted && !lease.ended && !lease.link.cut {
			time.AfterFunc(latency, lease.link.listener.QueuesChanged)
		}
	}
}

// status is what the node on a link said of itself last.
func (d *database) status(instance string) persistence.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, lease := range d.leases {
		if lease.instance == instance && !lease.ended {
			return lease.status
		}
	}
	return persistence.Status{}
}

// awaitRenewal returns just after the next renewal of a node.
func (d *database) awaitRenewal(instance string) {
	renewals := func() (n int64) {
		d.set(func() {
			for _, lease := range d.leases {
				if lease.instance == instance && !lease.ended {
					n = lease.renewals
				}
			}
		})
		return n
	}
	for before := renewals(); renewals() == before; {
		time.Sleep(time.Millisecond)
	}
}

// cluster is some nodes on one database, old enough to judge each other.
type cluster struct {
	testing.TB
	*database
	links []*link
	nodes []*Node
	hub   *hub // nil for none
	network
}

// startCluster starts nodes a, b, … that know the same workflows.
func startCluster(t testing.TB, size int, definitions ...workflow.Definition) *cluster {
	t.Helper()
	c := &cluster{TB: t, database: newDatabase()}
	for range size {
		c.add(nil, definitions...)
	}
	return c.ripen()
}

// add starts one more node.
func (c *cluster) add(peers Peers, definitions ...workflow.Definition) *Node {
	c.Helper()
	l := c.link()
	cfg := Config{Instance: string(rune('a' + len(c.nodes))), Queues: map[string]int{"default": 2}, Peers: peers}
	if c.hub != nil {
		cfg.CentralCloud = CentralCloud{Queue: c.hub, Present: c.hub.present}
	}
	node := startNode(c, l, cfg, definitions...)
	c.links, c.nodes = append(c.links, l), append(c.nodes, node)
	return node
}

// ripen waits until the nodes may judge each other.
func (c *cluster) ripen() *cluster {
	t := c.TB
	t.Cleanup(func() { // before the nodes stop
		for i := range c.links {
			c.resume(i)
		}
	})
	time.Sleep(judgeAfter + time.Second)
	return c
}

// asked adds up the calls of all nodes to the database, but for renewals.
func (c *cluster) asked() (sum int) {
	for _, l := range c.links {
		sum += l.asked()
	}
	return sum
}

// asked adds up the calls to the database, but for renewals.
func (l *link) asked() (sum int) {
	l.database.set(func() {
		for _, n := range l.calls {
			sum += n
		}
	})
	return sum
}

// count tells how often one call was made.
func (l *link) count(what string) (n int) {
	l.database.set(func() { n = l.calls[what] })
	return n
}

// kill is kill -9: nothing more of the node reaches the database, which notices
// that its session is gone.
func (c *cluster) kill(node int) {
	c.set(func() { c.links[node].cut, c.links[node].lockFree = true, true })
}

// boot is the one under which a node goes on now.
func (c *cluster) boot(node int) persistence.BootID { return c.nodes[node].standing.boot().ID }

// renewals counts those of a node's boot so far.
func (c *cluster) renewals(node int) (count int64) {
	c.set(func() { count = c.leases[c.boot(node)].renewals })
	return count
}

// takeover is the only one so far, as a node tells it.
func (c *cluster) takeover(node int) persistence.Takeover {
	c.Helper()
	list, err := c.nodes[node].Takeovers(c.Context(), 10)
	if err != nil || len(list) != 1 {
		c.Fatalf("takeovers %+v, %v; want one", list, err)
	}
	return list[0]
}

// pause is SIGSTOP, for what others see of it: nothing passes, and the session
// stays.
func (c *cluster) pause(node int) { c.set(func() { c.links[node].cut = true }) }

// resume ends a pause.
func (c *cluster) resume(node int) { c.set(func() { c.links[node].cut = false }) }
