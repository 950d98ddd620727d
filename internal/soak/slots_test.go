package soak

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/messages"
	"singularity/messages/messagesconnect"
)

// TestSlotsOfKilledNodesAreFiredOnce kills the one of three nodes that fires a
// slot: half of the times before the transaction is committed, half of the times
// when it is and the node does not know.
func TestSlotsOfKilledNodesAreFiredOnce(t *testing.T) {
	t.Parallel()
	newCluster(t, "kill in a firing").killInFirings(often(3, 50))
}

// TestSlotsAreThoseOfTheDatabasesClock does it where the nodes' clocks are wrong
// by an hour.
func TestSlotsAreThoseOfTheDatabasesClock(t *testing.T) {
	t.Parallel()
	ahead := usualServer()
	ahead.Ahead = time.Hour
	newClusterOn(t, "kill in a firing, the database an hour ahead", ahead).killInFirings(often(2, 10))
}

func (c *cluster) killInFirings(times int) {
	t := c.t
	t.Helper()
	proxies := map[*node]*proxy{}
	launch := func() {
		p := newProxy(t, c.server.Addr())
		proxies[c.launchAt(c.server.URLVia(p.address(), testpostgres.Database), nil)] = p
	}
	for range 3 {
		launch()
	}
	c.begin()
	c.tick("* * * * * *")
	for round := range times {
		victim, held := c.awaitFiring(proxies)
		if round%2 == 1 {
			committed := proxies[victim].catch(answer, "commit")
			held.release()
			committed.await(t)
			held = committed
		}
		c.forget(victim)
		victim.kill()
		held.release()
		delete(proxies, victim)
		c.verdict.Faults++
		launch()
		c.awaitSlot()
	}
	c.stopTicking()
	c.settle()
	c.countSlots()
	c.conclude()
}

// awaitFiring returns the first node that has written what a slot starts and has
// not committed it, with what is held of it.
func (c *cluster) awaitFiring(proxies map[*node]*proxy) (firing *node, held *catch) {
	c.t.Helper()
	catches := map[*node]*catch{}
	for n, p := range proxies {
		catches[n] = p.catch(commit, "UPDATE singularity.schedules")
	}
	await(c.t, func(context.Context) (string, error) {
		for n, caught := range catches {
			select {
			case <-caught.held:
				firing = n
				return "", nil
			default:
			}
		}
		return "no node fires a slot", nil
	})
	for n, caught := range catches {
		if n != firing {
			caught.release()
		}
	}
	return firing, catches[firing]
}

// awaitSlot waits until a slot after this moment has its run.
func (c *cluster) awaitSlot() {
	c.t.Helper()
	after, err := one[time.Time](c.t.Context(), c.audit, `SELECT clock_timestamp()`)
	if err != nil {
		c.t.Fatal(err)
	}
	await(c.t, func(ctx context.Context) (string, error) {
		fired, err := one[bool](ctx, c.audit, `SELECT EXISTS (SELECT FROM singularity.workflow_runs WHERE slot > $1)`, after)
		if err != nil || fired {
			return "", err
		}
		return fmt.Sprintf("no slot after %s was fired", after), nil
	})
}

// slotsWithoutOne are the slots of the schedule that do not have one run.
const slotsWithoutOne = `
SELECT slot::text || ' has ' || count(run.id)
FROM generate_series(
	(SELECT min(slot) FROM singularity.workflow_runs WHERE schedule = 'tick'),
	(SELECT last_slot FROM singularity.schedules WHERE name = 'tick'), interval '1 second'
) AS slot
LEFT JOIN singularity.workflow_runs AS run USING (slot)
GROUP BY slot
HAVING count(run.id) <> 1`

// countSlots compares the slots that there were with the runs of each, and the
// runs with those that had effects.
func (c *cluster) countSlots() {
	c.t.Helper()
	ctx := c.t.Context()
	wrong, err := list[string](ctx, c.audit, slotsWithoutOne)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, slot := range wrong {
		c.brokenly("slot %s runs, want one", slot)
	}
	runs, err := list[string](ctx, c.audit, `SELECT id::text FROM singularity.workflow_runs WHERE schedule = 'tick'`)
	if err != nil {
		c.t.Fatal(err)
	}
	affected := map[string]bool{}
	for _, effect := range c.ledger.all() {
		affected[effect.Run] = true
	}
	for _, run := range runs {
		if !affected[run] {
			c.brokenly("run %s of a slot had no effect", run)
		}
	}
	late, err := list[float64](ctx, c.audit, `
SELECT extract(epoch FROM created_at - slot)::float8
FROM singularity.workflow_runs
WHERE schedule = 'tick'`)
	if err != nil {
		c.t.Fatal(err)
	}
	times := make([]time.Duration, len(late))
	for i, seconds := range late {
		times[i] = time.Duration(seconds * float64(time.Second))
	}
	c.verdict.Counts["slots"] = len(runs)
	c.verdict.Times["slot_to_run"] = percentilesOf(times)
}

// tick has a schedule start runs, by an expression for each second.
func (c *cluster) tick(cron string) {
	c.t.Helper()
	_, err := c.next().schedules().CreateSchedule(c.t.Context(), &messages.CreateScheduleRequest{Spec: &messages.ScheduleSpec{
		Name: "tick", Workflow: "load", Cron: cron, InputJson: `{"note":"slot"}`,
	}})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) stopTicking() {
	c.t.Helper()
	if _, err := c.next().schedules().PauseSchedule(c.t.Context(), &messages.PauseScheduleRequest{Name: "tick"}); err != nil {
		c.t.Fatal(err)
	}
	c.awaitQuiet()
}

func (n *node) schedules() messagesconnect.ScheduleServiceClient {
	return messagesconnect.NewScheduleServiceClient(http.DefaultClient, n.url)
}
