package proof

import (
	"fmt"
	"testing"
	"time"

	"singularity/centralcloud"
)

// How many rounds of requests there are for what. While the hub is pinned to the
// reference, it finds out how good that is: some 100 calls of each task, as a
// cluster has them that begins with a hub after it was without. What was paid until
// something is learned counts, too, and so does what faults cost.
const (
	pinned       = 8
	untilLearned = 48
	untilNoticed = 8
	inOutage     = 3
	withoutHub   = 4
	measured     = 4 // to see who is asked now
	atLeast      = 96
)

// noticed bounds the share of a model that has lost half of its good answers.
const noticed = 0.2

func TestHubSavesMoneyAtAboutTheSuccessOfTheReference(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := startCluster(t, newTable(seed))
			c.askAndLearn(t, pinned)
			c.hub.kill()
			c.hub = startHub(t, hubTask{Database: c.common.HubDatabase})
			c.awaitPolicy(t, c.version())
			c.askAndLearn(t, untilLearned-pinned-measured)
			usual := c.askAndLearn(t, measured)
			learned := c.worth()

			worse := usual.most(func(at cell) bool { return at.arm != reference })
			later := c.noticeDrop(t, worse, usual)
			out := later.most(func(at cell) bool { return at.arm.Provider != reference.Provider }).arm.Provider
			end := c.surviveOutage(t, out)
			c.surviveDeaths(t)
			c.askAndLearn(t, max(0, atLeast-c.requests/perRound))
			back := c.awaitReturn(t, out, end)

			all := c.worth()
			learned.want(t)
			all.wantDespiteFaults(t)
			c.wantRouted(t)
			t.Logf("%d requests until it was learned: %s", untilLearned*perRound, learned)
			t.Logf("%s lost half of its good answers at %s: share %.2f, then %.2f", worse.arm, worse.task, usual.at(worse.task).share(is(worse)), later.at(worse.task).share(is(worse)))
			t.Logf("%s was out, with a share of %.2f, and used again after %s", out, later.share(by(out)), back.Round(time.Second/10))
			t.Logf("%d requests in all: %s; policy %d, after %s", c.requests, all, c.version(), time.Since(began).Round(time.Second))
		})
	}
}

// surviveOutage has a provider turn all calls away: requests get their answers
// elsewhere. It returns when that was over.
func (c *cluster) surviveOutage(t *testing.T, provider string) (end time.Time) {
	t.Helper()
	before, began := c.account(), time.Now()
	c.fail(provider)
	for rounds := 0; rounds < inOutage || c.account().since(before).sum(by(provider)).Refused == 0; rounds++ {
		if time.Since(began) > patience {
			t.Fatalf("%s was not asked while it was out", provider)
		}
		c.ask(t, 1)
	}
	c.fail("")
	c.settle(t)
	return time.Now()
}

// awaitReturn waits until a provider gives good answers again, and returns how long
// that took.
func (c *cluster) awaitReturn(t *testing.T, provider string, since time.Time) time.Duration {
	t.Helper()
	for time.Since(since) < patience {
		if c.askAndLearn(t, 1).sum(by(provider)).Good > 0 {
			return time.Since(since)
		}
	}
	t.Fatalf("%s is not asked again", provider)
	return 0
}

// noticeDrop has the favourite of a task lose half of its good answers, and nobody
// is told. It returns who is asked when that was noticed.
func (c *cluster) noticeDrop(t *testing.T, favourite cell, usual accounts) (later accounts) {
	t.Helper()
	c.worsen(favourite.arm)
	c.askAndLearn(t, untilNoticed)
	later = c.askAndLearn(t, measured)
	before, after := usual.at(favourite.task).share(is(favourite)), later.at(favourite.task).share(is(favourite))
	if before < 0.5 || after > noticed {
		t.Errorf("%s got %.2f of the calls for %s, and %.2f when it had become worse; want more than half, and at most %.2f",
			favourite.arm, before, favourite.task, after, noticed)
	}
	return later
}

// surviveDeaths kills a node that has not told the hub of its calls, and the hub.
// Nodes go by the policy that they have, until there is another hub.
func (c *cluster) surviveDeaths(t *testing.T) {
	t.Helper()
	task := c.common
	task.Name, task.ResultsEvery, task.First, task.Requests = "victim", time.Hour, c.requests, perRound
	victim := spawn(t, beNode, task)
	victim.await(t, answered)
	victim.kill()
	c.requests += perRound

	c.hub.kill()
	for _, node := range c.nodes {
		node.flush(t, "learnings") // what it said before
	}
	version := c.version()
	c.ask(t, withoutHub)
	if c.version() != version {
		t.Errorf("policy %d came from a hub that is dead", c.version())
	}
	c.hub = startHub(t, hubTask{Database: c.common.HubDatabase})
	c.settle(t) // the victim's calls too, which another node told of
	c.wantTold(t, task.Name)
	c.askAndLearn(t, 1)
	c.awaitPolicy(t, version)
}

// wantRouted expects that the nodes chose by a policy all the while.
func (c *cluster) wantRouted(t *testing.T) {
	t.Helper()
	for _, node := range c.nodes {
		if routed, otherwise := node.choices(t); routed == 0 || otherwise > 0 {
			t.Errorf("%s made %.0f choices by a policy and %.0f without", node.engine.Instance(), routed, otherwise)
		}
	}
}

// wantTold expects that the hub heard of an instance's calls.
func (c *cluster) wantTold(t *testing.T, instance string) {
	t.Helper()
	all, err := rows(t.Context(), c.store)
	if err != nil {
		t.Fatal(err)
	}
	var own []centralcloud.Row
	for _, row := range all {
		if row.Instance == instance {
			own = append(own, row)
		}
	}
	if counted(own).sum(anything).calls() == 0 {
		t.Errorf("no call of %s is counted", instance)
	}
}
