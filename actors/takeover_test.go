package actors

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

func TestRunsOfASuspectGoOnAtOnceWhenItsLockIsFree(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", add("one"), slow.step("slow", time.Minute).Timeout(time.Hour), add("three"))
		c := startCluster(t, 3, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		dead := c.boot(0)
		c.kill(0)
		c.nodes[1].Suspect(Suspicion{Boot: dead, By: "refused", Witness: true})
		synctest.Wait()
		if slow.count() != 2 {
			t.Fatal("no time has passed, and the run has not gone on")
		}
		takeover := c.takeover(1)
		if takeover.Boot != dead || takeover.Judge != c.boot(1) || takeover.DetectedBy != "refused" || takeover.Ground != persistence.Crashed || takeover.Released != 1 {
			t.Errorf("takeover %+v, want that of one run of %s by %s", takeover, dead, c.boot(1))
		}
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		takeover = c.takeover(1)
		if takeover.ClaimedAt == nil || takeover.ResumedAt != nil {
			t.Errorf("takeover %+v, want it followed for half a minute, which is too short for its run", takeover)
		}
	})
}

func TestTakeoverIsFollowedUntilARunHasGoneOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", 3*time.Second), add("two"))
		c := startCluster(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		dead, killed := c.boot(0), time.Now()
		c.kill(0)
		c.nodes[1].Suspect(Suspicion{Boot: dead, By: "refused", Witness: true})
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		time.Sleep(10 * time.Second)
		takeover := c.takeover(1)
		if takeover.ClaimedAt == nil || takeover.ClaimedAt.Sub(killed) > 5*time.Millisecond {
			t.Errorf("takeover %+v, want it claimed at %s", takeover, killed)
		}
		if takeover.ResumedAt == nil || takeover.ResumedAt.Sub(killed) != 3*time.Second {
			t.Errorf("takeover %+v, want it resumed at %s", takeover, killed.Add(3*time.Second))
		}
		counted := c.nodes[1].Stats().Takeovers[persistence.Crashed]
		if counted.Declared != 1 || counted.Claimed.Counts[0] != 1 || counted.Claimed.Sum != takeover.ClaimedAt.Sub(takeover.SuspectedAt) {
			t.Errorf("it counts %+v, want one that was claimed after %s", counted, takeover.ClaimedAt.Sub(takeover.SuspectedAt))
		}
	})
}

func TestSuspectIsLookedAtUntilTheDatabaseNoticesItsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", time.Minute).Timeout(time.Hour))
		c := startCluster(t, 2, flow)
		start(t, c.nodes[0], flow)
		synctest.Wait()
		dead := c.boot(0)
		c.pause(0) // nothing passes, and its session is there
		c.nodes[1].Suspect(Suspicion{Boot: dead, By: "stream", Witness: true})
		time.Sleep(40 * time.Millisecond)
		if c.declared() != 0 {
			t.Fatal("a boot that holds its lock was declared dead")
		}
		noticed := time.Now()
		c.kill(0)
		for slow.count() < 2 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(noticed); took > 64*time.Millisecond {
			t.Errorf("the run went on %s after its owner's lock was free", took)
		}
	})
}

func TestSuspectWithoutWitnessIsGivenTimeToComeBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 2)
		boot := c.boot(0)
		c.set(func() { c.links[0].lockFree = true }) // its connection broke, and it is about to make another
		c.nodes[1].Suspect(Suspicion{Boot: boot, By: "gossip"})
		time.Sleep(crashAfter / 2)
		c.set(func() { c.links[0].lockFree = false })
		time.Sleep(10 * time.Second)
		if c.declared() != 0 {
			t.Error("a boot that took its lock again was declared dead")
		}
	})
}

func TestOnlyNodesOfSomeAgeActOnASuspicion(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 1)
		young := startNode(t, c.link(), Config{Instance: "young"})
		dead := c.boot(0)
		c.kill(0)
		time.Sleep(5 * time.Second)
		young.Suspect(Suspicion{Boot: dead, By: "refused", Witness: true})
		synctest.Wait()
		if c.declared() != 0 {
			t.Error("a node declared another dead that it has hardly known")
		}
		time.Sleep(10 * time.Second)
		if c.declared() != 1 {
			t.Error("the dead were not declared dead once it was old enough")
		}
	})
}

func TestFloodOfSuspicionsDoesNoHarm(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 3)
		ended := c.boot(2)
		stopNode(t, c.nodes[2])
		before, began := c.renewals(0), time.Now()
		for time.Since(began) < 3*time.Second {
			for i, boot := range []persistence.BootID{c.boot(0), c.boot(1), ended, persistence.BootID(fmt.Sprint("unknown ", time.Now()))} {
				c.nodes[0].Suspect(Suspicion{Boot: boot, By: "noise", Witness: i%2 == 0})
			}
			time.Sleep(time.Millisecond)
		}
		if renewals := c.renewals(0) - before; renewals > 4*(looksOutOfTurn+2) {
			t.Errorf("%d renewals in three seconds, want at most %d a second", renewals, looksOutOfTurn+2)
		}
		if c.declared() != 0 {
			t.Error("a boot was declared dead on the word of others")
		}
	})
}

func TestStoreOfItsOwnHasNobodyToSuspect(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := openNode(t, newFaultyStore(), Config{})
		node.Suspect(Suspicion{Boot: "other", By: "noise", Witness: true})
		synctest.Wait()
		if err := node.Ready(t.Context()); err != nil {
			t.Errorf("the node says %v", err)
		}
	})
}

func TestOthersAreWokenForTheRunsOfTheDead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", time.Minute).Timeout(time.Hour))
		c := startPeers(t, 3, flow) // of two slots each
		for _, node := range []int{0, 0, 1} {
			start(t, c.nodes[node], flow)
		}
		synctest.Wait()
		c.kill(0)
		c.nodes[1].Suspect(Suspicion{Boot: c.boot(0), By: "refused", Witness: true})
		time.Sleep(20 * time.Millisecond)
		if here, there := c.nodes[1].load.Load(), c.nodes[2].load.Load(); slow.count() != 5 || here != 2 || there != 1 {
			t.Errorf("steps began %d times, %d runs are at the judge's and %d at the third's; want both runs of the dead to go on, one at each",
				slow.count(), here, there)
		}
	})
}
