package soak

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"singularity/messages"
	"singularity/messages/messagesconnect"
)

const (
	// enoughThroughput is how much of their throughput nodes keep that no longer
	// hear of each other.
	enoughThroughput = 0.8
	// longCut is one by which the nodes have forgotten each other.
	longCut = time.Minute
)

// TestNodesCutFromEachOtherWorkOnAndMeetAgain cuts all nodes from each other,
// while each reaches Postgres.
func TestNodesCutFromEachOtherWorkOnAndMeetAgain(t *testing.T) {
	t.Parallel()
	kinds := []string{*networkKind}
	if *networkKind != byProcesses {
		kinds = append(kinds, byProcesses)
	}
	for _, kind := range kinds {
		t.Run(cmp.Or(kind, "usual network"), func(t *testing.T) {
			t.Parallel()
			partition(t, kind)
		})
	}
}

func partition(t *testing.T, kind string) {
	c := newClusterIn(t, "nodes cut from each other", kind)
	sites := c.launchSites(3)
	c.begin()
	measured := time.Second
	if *full {
		measured = 15 * time.Second
		c.awaitJudges(nil, len(sites))
	}
	clients := c.startRegulars()
	pass(t, measured/2)
	clients.measure() // warm by now
	pass(t, measured)
	before, took := clients.measure()
	c.verdict.Times["run_before_the_cut"] = took

	began := time.Now()
	c.network.suffer(amongAll(sites, everything)...)
	c.verdict.Faults++
	c.awaitAlone(sites)
	c.note("cut_to_alone", time.Since(began))
	clients.measure()
	pass(t, measured)
	during, took := clients.measure()
	c.verdict.Times["run_during_the_cut"] = took
	clients.stop()
	c.expectThroughput(before, during)
	load := c.startLoad(usualLoad())
	c.awaitJudges(nil, len(sites)) // who could declare the others dead
	if *full {
		pass(t, time.Until(began.Add(longCut)))
	}
	c.awaitLosses(0, "in the cut")
	c.expectNobodyDead()

	c.mend()
	mended := time.Now()
	c.awaitWhole(sites)
	c.note("mended_to_one_view", time.Since(mended))
	c.awaitLetters(sites)
	load.stop()
	c.settle()
	c.expectNobodyDead()
	c.expectNoMoves()
	c.conclude()
}

// expectThroughput compares runs that ended a second.
func (c *cluster) expectThroughput(before, during float64) {
	c.verdict.Counts["runs_per_second_before"], c.verdict.Counts["runs_per_second_during"] = int(before), int(during)
	if *full && during < enoughThroughput*before {
		c.brokenly("%.0f runs ended a second during the cut, and %.0f before it", during, before)
	}
}

// awaitLetters has each node ask each other something, by its label.
func (c *cluster) awaitLetters(sites []*site) {
	c.t.Helper()
	for _, from := range sites {
		actors := messagesconnect.NewActorServiceClient(http.DefaultClient, from.node.url)
		members, err := from.node.members(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		if len(members) != len(sites) {
			c.brokenly("node %d lists %d members, and there are %d", from.node.pid(), len(members), len(sites))
		}
		for _, to := range members {
			await(c.t, func(ctx context.Context) (string, error) {
				reply, err := actors.Send(ctx, &messages.SendRequest{Pid: to.GetInstanceId() + "/dispatcher", Type: "ping"})
				if err != nil || strings.Contains(reply.GetReplyJson(), to.GetInstanceId()) {
					return "", err
				}
				return fmt.Sprintf("%s is answered for by another: %s", to.GetInstanceId(), reply.GetReplyJson()), nil
			})
		}
	}
}
