package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

const (
	globalLimit = 3
	keyLimit    = 2
	pacedRate   = 10.0
	pacedBurst  = 5
	// backlog is how many runs wait in each scope while there is load.
	backlog = 8
	// occupiedFor is how long the ledger takes for each of a step's two effects.
	occupiedFor = 50 * time.Millisecond
)

var limitedScopes = map[scope]int{
	{"global", ""}: globalLimit,
	{"keyed", "a"}: keyLimit, {"keyed", "b"}: keyLimit, {"keyed", "c"}: keyLimit,
}

// paced is limited by its rate only.
var paced = scope{"paced", ""}

// TestLimitsHoldWhileNodesComeAndGo has queues with limits over all nodes, of
// which one is killed, one is stopped until it is dead and goes on, one drains,
// and others take their places, again and again.
func TestLimitsHoldWhileNodesComeAndGo(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "limits while nodes join, die and return")
	c.talking = true
	c.ledger.takes = occupiedFor
	occupied := newOccupancy(limitedScopes)
	c.ledger.watch = occupied.hear
	c.launchSome(often(3, 5))
	c.awaitStreams()
	c.begin()
	c.limitQueues()
	load := c.startBacklog(occupied)
	c.openPaced()
	var lost []string
	for range often(1, 10) {
		killed, frozen := c.killOccupied(occupied), c.freezeOccupied(occupied)
		c.drainInStep(c.someNode())
		c.launch()
		c.verdict.Counts["nodes_drained"]++
		lost = append(lost, killed, frozen)
		occupied.forget()
		await(t, func(context.Context) (string, error) { return occupied.unreached(), nil })
	}
	load.stop()
	c.settle(endsOnce)
	c.noteTakeovers()
	c.expectDeaths(lost)
	c.judgeOccupancy(occupied)
	c.judgePeaks()
	c.judgePace()
	c.conclude()
}

// limitQueues sets the limits, before there is anything to limit.
func (c *cluster) limitQueues() {
	c.t.Helper()
	for _, set := range []*messages.SetQueueRequest{
		{Name: "global", GlobalLimit: new(int32(globalLimit))},
		{Name: "keyed", KeyPath: new("key"), KeyLimit: new(int32(keyLimit))},
		{Name: paced.queue, Rate: new(pacedRate), Burst: new(int32(pacedBurst))},
	} {
		if _, err := c.next().queues().SetQueue(c.t.Context(), set); err != nil {
			c.t.Fatal(err)
		}
	}
	if _, err := c.next().queues().PauseQueue(c.t.Context(), &messages.PauseQueueRequest{Name: paced.queue}); err != nil {
		c.t.Fatal(err)
	}
}

func (n *node) queues() messagesconnect.QueueServiceClient {
	return messagesconnect.NewQueueServiceClient(http.DefaultClient, n.url)
}

const countWaiting = `
SELECT count(*) FROM singularity.workflow_runs
WHERE queue = $1 AND coalesce(limit_key, '') = $2 AND state IN ('available', 'retryable')`

// startBacklog starts runs, so that some wait in each scope until it is stopped.
func (c *cluster) startBacklog(occupied *occupancy) *load {
	l := c.newLoad()
	for _, s := range append(slices.Collect(maps.Keys(limitedScopes)), paced) {
		l.repeat(occupiedFor, func() {
			waiting, err := one[int](c.t.Context(), c.audit, countWaiting, s.queue, s.key)
			for ; err == nil && waiting < backlog; waiting++ {
				request := limitedRequest(workflow.NewRunID(), s)
				occupied.expect(request.GetId(), s)
				l.start(request)
			}
		})
	}
	return l
}

func limitedRequest(id workflow.RunID, s scope) *messages.StartRunRequest {
	return &messages.StartRunRequest{
		Workflow: "limited", InputJson: fmt.Sprintf(`{"note":"soak","key":%q}`, s.key), Id: id.String(), Queue: s.queue,
	}
}

// openPaced lets the runs begin that a rate limits, when more wait than may begin
// at once.
func (c *cluster) openPaced() {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (missing string, err error) {
		waiting, err := one[int](ctx, c.audit, countWaiting, paced.queue, paced.key)
		if waiting <= pacedBurst {
			missing = fmt.Sprintf("%d runs wait in %s, expected more than %d", waiting, paced, pacedBurst)
		}
		return missing, err
	})
	if _, err := c.next().queues().ResumeQueue(c.t.Context(), &messages.ResumeQueueRequest{Name: paced.queue}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) someNode() *node {
	nodes := c.living()
	return nodes[rand.N(len(nodes))]
}

// killOccupied kills a node in a step, has another one join, and returns the boot
// that is dead.
func (c *cluster) killOccupied(occupied *occupancy) (boot string) {
	c.t.Helper()
	victim := c.someNode()
	c.awaitJudges(victim, 1)
	boot = c.boot(victim)
	c.note("kill_to_next_checkpoint", c.loseInStep(victim, takeoverBound, func() {
		occupied.lose(victim.pid())
		victim.kill()
	}))
	c.launch()
	c.verdict.Counts["nodes_killed"]++
	c.verdict.Faults++
	return boot
}

// freezeOccupied stops a node in a step until it is declared dead and its runs go
// on elsewhere, lets it end that step and come back, and returns the boot that is
// dead.
func (c *cluster) freezeOccupied(occupied *occupancy) (boot string) {
	c.t.Helper()
	victim := c.someNode()
	c.awaitJudges(victim, 1)
	boot = c.boot(victim)
	_, before := occupied.found()
	c.note("freeze_to_next_checkpoint", c.loseInStep(victim, freezeBound, func() {
		occupied.lose(victim.pid())
		victim.pause()
	}))
	occupied.wake(victim.pid())
	victim.resume()
	await(c.t, func(context.Context) (missing string, err error) {
		if _, zombies := occupied.found(); zombies == before {
			missing = fmt.Sprintf("node %d, which is dead and goes on, did not end its step", victim.pid())
		}
		return missing, nil
	})
	c.awaitNewBoot(victim, boot)
	victim.awaitReady()
	victim.ready = time.Now()
	c.remember(victim)
	c.verdict.Counts["nodes_frozen"]++
	c.verdict.Faults++
	return boot
}

// judgeOccupancy expects that no more runs were in a step than may be. A living
// node that has lost its lease, on a machine that is busy with more, is a zombie
// that nobody foresaw.
func (c *cluster) judgeOccupancy(occupied *occupancy) {
	over, zombies := occupied.found()
	c.verdict.Counts["effects_of_zombies"], c.verdict.Counts["steps_over_a_limit"] = zombies, len(over)
	if len(over) > 0 && c.verdict.Counts["leases_lost_by_living"] == 0 {
		c.brokenly("%s", over[0])
	}
}

// peaks are how many runs of a scope have run at once, at most, in the order of
// the commits.
const peaks = `
SELECT queue, key, max(running)
FROM (
	SELECT run.queue, coalesce(run.limit_key, '') AS key, sum(step.delta) OVER (
		PARTITION BY run.queue, run.limit_key ORDER BY pg_xact_commit_timestamp(step.xid), step.delta, step.n) AS running
	FROM (
		SELECT n, xid, run, (state = 'running')::int - (old_state IS NOT DISTINCT FROM 'running')::int AS delta
		FROM soak.changes
	) AS step
	JOIN singularity.workflow_runs AS run ON run.id = step.run
	WHERE step.delta <> 0
) AS moment
GROUP BY queue, key`

// judgePeaks expects that as many runs ran at once as the limits let, and never
// more.
func (c *cluster) judgePeaks() {
	c.t.Helper()
	rows, _ := c.audit.pool.Query(c.t.Context(), peaks)
	var s scope
	var peak int
	_, err := pgx.ForEachRow(rows, []any{&s.queue, &s.key, &peak}, func() error {
		limit, limited := limitedScopes[s]
		switch c.verdict.Counts[key("most at once of %s", s)] = peak; {
		case limited && peak > limit:
			c.brokenly("%d runs of %s ran at once, expected at most %d", peak, s, limit)
		case limited && peak < limit:
			c.invalidly("no more than %d runs of %s ran at once, of %d", peak, s, limit)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// pace is how many runs of the queue with a rate have begun, how many a second,
// and how many more than its rate lets begin in any time, at most. A transaction
// takes them at a time after its beginning and before it changes them.
const pace = `
SELECT count(*), ((count(*) - 1) / (max(latest) - min(latest)))::float8, max(used)::float8
FROM (
	SELECT latest, rank - $2 * latest - min(rank - 1 - $2 * earliest) OVER (ORDER BY rank) AS used
	FROM (
		SELECT extract(epoch FROM change.begun_at)::float8 AS earliest, extract(epoch FROM change.noted_at)::float8 AS latest,
			row_number() OVER (ORDER BY pg_xact_commit_timestamp(change.xid), change.n)::float8 AS rank
		FROM soak.changes AS change
		JOIN singularity.workflow_runs AS run ON run.id = change.run
		WHERE run.queue = $1 AND change.state = 'running' AND change.old_state IS DISTINCT FROM 'running'
	) AS begun
) AS window_of_each`

// judgePace expects that in any t seconds no more than burst + rate x t runs have
// begun, and in some as many.
func (c *cluster) judgePace() {
	c.t.Helper()
	var begun int
	var perSecond, used float64
	if err := c.audit.pool.QueryRow(c.t.Context(), pace, paced.queue, pacedRate).Scan(&begun, &perSecond, &used); err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Counts["begun_in_the_queue_with_a_rate"] = begun
	c.verdict.Figures["begun_a_second_in_the_queue_with_a_rate"] = figureOf(perSecond)
	c.verdict.Figures["burst_in_the_queue_with_a_rate"] = figureOf(used)
	const rounding = 0.01
	switch {
	case used > pacedBurst+rounding:
		c.brokenly("%.2f runs more than the rate have begun, expected a burst of %d at most", used, pacedBurst)
	case *full && used < pacedBurst-1: // on a busy machine a claim lasts for as long as several begin by the rate
		c.invalidly("no more than %.2f runs have begun beyond the rate, of a burst of %d", used, pacedBurst)
	}
}
