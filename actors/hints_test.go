package actors

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// soon is how long it may take until others have acted on a hint.
const soon = latency + 2*time.Millisecond

// occupy takes all slots of a node until the gate opens.
func occupy(t *testing.T, node *Node, holding *workflow.Workflow[count, count]) (runs []*workflow.Handle[count]) {
	t.Helper()
	for range node.cfg.Queues["default"] {
		runs = append(runs, start(t, node, holding))
	}
	synctest.Wait()
	return runs
}

func TestStartOnAFullNodeBeginsOnAnotherWithinMilliseconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work visits
		hold := newGate(t, "hold")
		holding, flow := workflow.New("holding", hold.step().Timeout(time.Hour)), workflow.New("flow", work.step("work", time.Second))
		c := startPeers(t, 3, holding, flow)
		time.Sleep(10 * time.Minute) // the sweeps have become rare
		occupy(t, c.nodes[0], holding)
		began := time.Now()
		run := start(t, c.nodes[0], flow)
		time.Sleep(soon)
		if work.count() != 1 || work.last().Sub(began) > soon {
			t.Fatalf("the run began %d times within %s", work.count(), soon)
		}
		if row := read(t, c.nodes[0], run.ID()); row.Owner == "a" {
			t.Errorf("the run is %+v", row)
		}
		finish(t, run)
		if late := time.Since(*read(t, c.nodes[0], run.ID()).FinishedAt); late > soon {
			t.Errorf("who waits on the full node learnt of the end after %s", late)
		}
	})
}

func TestBacklogOfAFullNodeIsSharedAsSlotsComeFree(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", time.Second))
		c := startPeers(t, 3, flow)
		time.Sleep(10 * time.Minute)
		began := time.Now()
		var runs []*workflow.Handle[count]
		for range 60 {
			runs = append(runs, start(t, c.nodes[0], flow))
		}
		owners := map[string]int{}
		for _, run := range runs {
			finish(t, run)
			steps, err := c.nodes[0].Steps(t.Context(), run.ID())
			if err != nil {
				t.Fatal(err)
			}
			owners[steps[0].Owner]++
		}
		if took := time.Since(began); took > 10500*time.Millisecond {
			t.Errorf("60 runs of a second on 6 slots took %s", took)
		}
		if owners["a"] != 20 || owners["b"] != 20 || owners["c"] != 20 {
			t.Errorf("they ran on %v", owners)
		}
	})
}

func TestWaiterHearsOfAnEndOnAnotherNodeAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		failing := workflow.New("failing", workflow.Do("one", func(context.Context, *count) error {
			time.Sleep(7300 * time.Millisecond)
			return workflow.Permanent(errDown)
		}))
		flow := workflow.New("flow", lasting("one", 7300*time.Millisecond))
		c := startPeers(t, 3, flow, failing)
		for _, w := range []*workflow.Workflow[count, count]{flow, failing} {
			run := start(t, c.nodes[0], w)
			time.Sleep(100 * time.Millisecond)
			if ended, err := c.nodes[1].PendingRun(t.Context(), run.ID()); err != nil {
				t.Fatal(err)
			} else if _, err := ended.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(*read(t, c.nodes[1], run.ID()).FinishedAt); late > soon {
				t.Errorf("who waits for the end of %s on another node learnt it %s after", run.ID(), late)
			}
		}
	})
}

func TestWaiterHearsOfAnEndWhoeverHasTheRunByThen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", 20*time.Second))
		c := startPeers(t, 3, flow)
		run := start(t, c.nodes[0], flow)
		events, err := c.nodes[2].Watch(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		c.kill(0)
		c.sever(0)
		c.network.mu.Lock()
		delete(c.network.nodes, c.nodes[0].Boot())
		c.network.mu.Unlock()
		c.mend()
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		for range events { // until the end
		}
		if late := time.Since(*read(t, c.nodes[1], run.ID()).FinishedAt); late > soon || slow.count() != 2 {
			t.Errorf("the step began %d times, and who waits learnt of the end %s after", slow.count(), late)
		}
	})
}

func TestEndAndQuestionThatPassEachOtherAreNotLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", time.Second))
		c := startPeers(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		time.Sleep(time.Second - latency/2)
		// The question leaves before the end and arrives after it.
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		if late := time.Since(*read(t, c.nodes[1], run.ID()).FinishedAt); late > 2*soon {
			t.Errorf("who waits learnt of the end %s after", late)
		}
	})
}

func TestCancelReachesAStepOnAnotherNodeAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 3, holding)
		run := start(t, c.nodes[0], holding)
		waiting := make(chan error)
		go func() {
			_, err := handle(t, c.nodes[1], holding, run.ID()).Wait(t.Context())
			waiting <- err
		}()
		time.Sleep(100 * time.Millisecond)
		cancelled := time.Now()
		if _, err := c.nodes[2].Cancel(t.Context(), run.ID(), "enough"); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; err == nil || !strings.Contains(err.Error(), "enough") || time.Since(cancelled) > soon {
			t.Errorf("who waits learnt %v after %s", err, time.Since(cancelled))
		}
		time.Sleep(soon)
		if hold.ended.Load() != 1 || inMemory(c.nodes[0], run.ID()) {
			t.Error("the step goes on")
		}
	})
}

func TestReleasedRunsGoOnElsewhereAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work visits
		flow := workflow.New("flow", lasting("one", 2*time.Second), work.step("two", 5*time.Second))
		long := workflow.New("long", lasting("one", 9*time.Second))
		c := startPeers(t, 2, flow, long)
		time.Sleep(10 * time.Minute)
		run := start(t, c.nodes[0], flow)
		start(t, c.nodes[0], long) // keeps the node from leaving
		time.Sleep(time.Second)
		drained := time.Now()
		stopNode(t, c.nodes[0])
		if work.count() != 1 || work.last().Sub(drained) > time.Second+soon {
			t.Errorf("the next step began %d times", work.count())
		}
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
	})
}

func TestRetriedRunBeginsOnANodeThatKnowsItsWorkflow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		tries := 0
		known := workflow.New("known", workflow.Do("one", func(context.Context, *count) error {
			if tries++; tries == 1 {
				return workflow.Permanent(errDown)
			}
			return nil
		}))
		c := startPeers(t, 2)
		p := &port{network: &c.network}
		p.attach(c.add(p, known))
		run := start(t, c.nodes[2], known)
		fails(t, run)
		time.Sleep(10 * time.Minute)
		if _, err := c.nodes[0].Retry(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		wantState(t, c.nodes[0], run.ID(), workflow.Completed)
	})
}

func TestRunThatBecomesDueWhereNoSlotIsFreeBeginsElsewhere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work visits
		hold := newGate(t, "hold")
		holding, flow := workflow.New("holding", hold.step().Timeout(time.Hour)), workflow.New("flow", work.step("work", time.Second))
		c := startPeers(t, 2, holding, flow)
		time.Sleep(10 * time.Minute)
		for before := c.links[1].count("backlog"); c.links[1].count("backlog") == before; {
			time.Sleep(time.Second) // the other node is not to find it by a sweep
		}
		due := time.Now().Add(20 * time.Second)
		run := startWith(t, c.nodes[0], flow, workflow.Options{Due: due})
		occupy(t, c.nodes[0], holding)
		time.Sleep(20*time.Second + soon)
		if work.count() != 1 || work.last().Sub(due) > soon {
			t.Errorf("the run began %d times by the time at which it is due", work.count())
		}
		finish(t, run)
	})
}

func TestHintThatWasLostIsRepeatedByTheNextSweep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work visits
		hold := newGate(t, "hold")
		holding, flow := workflow.New("holding", hold.step().Timeout(time.Hour)), workflow.New("flow", work.step("work", time.Second))
		c := startPeers(t, 2, holding, flow)
		time.Sleep(10 * time.Minute)
		for before := c.links[1].count("backlog"); c.links[1].count("backlog") == before; {
			time.Sleep(time.Second)
		}
		occupy(t, c.nodes[0], holding)
		c.loseHints(true)
		began := time.Now()
		run := start(t, c.nodes[0], flow)
		time.Sleep(time.Second)
		c.loseHints(false)
		finish(t, run)
		if took := work.last().Sub(began); took > sharedCadence.most+soon {
			t.Errorf("the run began on the other node after %s", took)
		}
	})
}

// What hints fail to tell, sweeps, reads and renewals find, more slowly.
func TestEverythingWorksWhenAllHintsAreLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work visits
		hold := newGate(t, "hold")
		holding, flow := workflow.New("holding", hold.step().Timeout(time.Hour)), workflow.New("flow", work.step("work", time.Second))
		c := startPeers(t, 3, holding, flow)
		d := &desk{}
		register(t, c.nodes[1], d)
		time.Sleep(10 * time.Minute)
		c.loseHints(true)
		began := time.Now()
		held := occupy(t, c.nodes[0], holding)
		run := start(t, c.nodes[0], flow)
		finish(t, run)
		if took := time.Since(began); took > sharedCadence.quiet+2*rereadEvery {
			t.Errorf("a run that the full node had to leave to others took %s", took)
		}
		waiting := time.Now()
		ended := make(chan error)
		go func() {
			_, err := handle(t, c.nodes[1], holding, held[0].ID()).Wait(t.Context())
			ended <- err
		}()
		time.Sleep(time.Second)
		if _, err := c.nodes[2].Cancel(t.Context(), held[0].ID(), ""); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || time.Since(waiting) > rereadEvery+time.Second {
			t.Errorf("who waits learnt %v after %s", err, time.Since(waiting))
		}
		post(t, c.nodes[0], "m0")
		time.Sleep(sharedCadence.quiet + time.Second)
		wantMessages(t, d, "m0")
	})
}

func TestIdleClusterAsksTheDatabaseForLittleButRenewals(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", time.Second))
		c := startPeers(t, 3, flow)
		finish(t, start(t, c.nodes[0], flow))
		register(t, c.nodes[1], &desk{})
		time.Sleep(10 * time.Minute)
		const minutes = 50 // retention looks once an hour
		before := c.asked()
		time.Sleep(minutes * time.Minute)
		perNodeAndMinute := float64(c.asked()-before) / 3 / minutes
		if perNodeAndMinute > 1.6 {
			t.Errorf("a node of an idle cluster asks the database %.2f times a minute beside its renewals", perNodeAndMinute)
		}
		c.sever(2)
		before = c.asked()
		time.Sleep(minutes * time.Minute)
		if perNodeAndMinute := float64(c.asked()-before) / 3 / minutes; perNodeAndMinute < 12 {
			t.Errorf("nodes that cannot hear each other ask only %.2f times a minute", perNodeAndMinute)
		}
	})
}

func TestNodesAskTheDatabaseRarelyWhileRunsRunElsewhere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(2*time.Hour))
		c := startPeers(t, 2, holding)
		run := start(t, c.nodes[0], holding)
		time.Sleep(10 * time.Minute)
		before := c.links[1].asked()
		time.Sleep(10 * time.Minute)
		// Six looks a minute are for the runs of boots that have ended.
		if asked := c.links[1].asked() - before; asked > 10*8 {
			t.Errorf("a node asked the database %d times in 10 minutes while a run ran elsewhere", asked)
		}
		hold.open()
		finish(t, run)
	})
}

func TestNodesWithoutPeersLookAfterTheirAgentsNowAndThen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startCluster(t, 2, holding)
		d := &desk{}
		register(t, c.nodes[1], d)
		start(t, c.nodes[0], holding)
		time.Sleep(time.Minute)
		before := c.links[1].count("agents")
		time.Sleep(time.Minute)
		if looks := c.links[1].count("agents") - before; looks < 11 || looks > 13 {
			t.Errorf("a node looked after its agents %d times in a minute", looks)
		}
		post(t, c.nodes[0], "m0")
		time.Sleep(sharedCadence.most + sharedCadence.least)
		wantMessages(t, d, "m0")
	})
}

func TestNodeLooksWhatItsBrokenSessionWasToHear(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startPeers(t, 1, flow)
		time.Sleep(10 * time.Minute)
		for before := c.links[0].count("backlog"); c.links[0].count("backlog") == before; {
			time.Sleep(time.Second)
		}
		insert := persistence.Insert{
			Run: workflow.NewRunID(), Workflow: "flow", Version: 1, Step: "one", Queue: "default", Input: []byte(`{}`),
		}
		if _, err := c.runs.Commit(t.Context(), []persistence.Write{insert}); err != nil {
			t.Fatal(err)
		}
		c.set(func() { c.links[0].since = time.Now() }) // of another session
		time.Sleep(2 * persistence.RenewEvery)
		wantState(t, c.nodes[0], insert.Run, workflow.Completed)
	})
}

func TestPeersThatComeAndGoAreNoticedAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", time.Second))
		c := startPeers(t, 2, flow)
		time.Sleep(10 * time.Minute)
		before := c.links[0].count("backlog")
		c.sever(1)
		synctest.Wait()
		if c.links[0].count("backlog") == before {
			t.Error("a node that cannot reach another any more does not look what it misses")
		}
		time.Sleep(10 * time.Minute)
		before = c.links[0].count("backlog")
		c.mend()
		synctest.Wait()
		if c.links[0].count("backlog") == before {
			t.Error("a node that reaches the others again does not look what it has missed")
		}
	})
}

func TestHintsThatSayTheSameAreSpaced(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 2, holding)
		for _, node := range c.nodes {
			occupy(t, node, holding)
		}
		time.Sleep(time.Minute)
		before, began := c.told(), time.Now()
		for range 200 {
			start(t, c.nodes[0], holding)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if told, most := c.told()-before, int(time.Since(began)/hintEvery)+1; told < 2 || told > most {
			t.Errorf("200 starts within %s were told in %d hints, want 2 to %d", time.Since(began), told, most)
		}
	})
}

func TestHintsThatMakeNoSenseAreIgnored(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", time.Second))
		c := startPeers(t, 1, flow)
		node := c.nodes[0]
		run := start(t, node, flow)
		id := run.ID().String()
		for _, hint := range []*messages.Hint{
			{},
			{Event: &messages.Hint_RunsWait{RunsWait: &messages.RunsWait{Queue: "a queue of others"}}},
			{Event: &messages.Hint_RunAwaited{RunAwaited: &messages.RunAwaited{RunId: "17"}}},
			{Event: &messages.Hint_RunEnded{RunEnded: &messages.RunEnded{RunId: "17"}}},
			{Event: &messages.Hint_RunEnded{RunEnded: &messages.RunEnded{RunId: id}}}, // it has not
			{Event: &messages.Hint_RunCancelled{RunCancelled: &messages.RunCancelled{RunId: "17"}}},
			{Event: &messages.Hint_RunCancelled{RunCancelled: &messages.RunCancelled{RunId: id}}}, // nor that
			{Event: &messages.Hint_InboxChanged{InboxChanged: &messages.InboxChanged{Agent: "nobody"}}},
			{Event: &messages.Hint_AgentMoved{AgentMoved: &messages.AgentMoved{Agent: "nobody", Epoch: 9}}},
			{Event: &messages.Hint_BootEnded{BootEnded: &messages.BootEnded{Boot: "nobody"}}},
		} {
			node.Hear("stranger", hint)
		}
		if out := finish(t, run); !slices.Equal(out.Trail, []string{"one"}) {
			t.Errorf("got %+v", out)
		}
		asleep, err := NewNode(c.link(), Config{Instance: "z", Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		asleep.Hear("stranger", &messages.Hint{Event: &messages.Hint_RunsWait{RunsWait: &messages.RunsWait{Queue: "default"}}})
		asleep.PeersChanged()
	})
}

func TestAwaitedRunsAreForgottenWithTime(t *testing.T) {
	t.Parallel()
	a, now := newAwaited(), time.Now()
	first, second := workflow.NewRunID(), workflow.NewRunID()
	a.ask(first, "b", now)
	a.ask(second, "b", now.Add(awaitedFor))
	a.ask(second, "c", now.Add(2*awaitedFor+1))
	if boots := a.end(first); len(boots) != 0 {
		t.Errorf("%v still wait for a run that nobody has asked for lately", boots)
	}
	if boots := a.end(second); !slices.Equal(boots, []persistence.BootID{"c"}) {
		t.Errorf("%v wait, want c alone", boots)
	}
	if !a.ask(second, "b", now) {
		t.Error("a run that ended just now is not known to have")
	}
	for range latelyKept {
		a.end(workflow.NewRunID())
	}
	if a.ask(second, "b", now) || len(a.lately) != latelyKept {
		t.Errorf("%d ended runs are remembered, want the last %d", len(a.lately), latelyKept)
	}
}

// Whoever declares a node dead may have no slot for its runs, nor code for its
// agents.
func TestWhatADeadNodeHadGoesOnWhereItCan(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		hold := newGate(t, "hold")
		holding, flow := workflow.New("holding", hold.step().Timeout(time.Hour)), workflow.New("flow", slow.step("slow", time.Minute).Timeout(time.Hour))
		c := startPeers(t, 4, holding, flow)
		time.Sleep(10 * time.Minute)
		occupy(t, c.nodes[1], holding)
		occupy(t, c.nodes[2], holding)
		run, first, second := start(t, c.nodes[0], flow), &desk{}, &desk{}
		register(t, c.nodes[0], first)
		register(t, c.nodes[3], second)
		c.set(func() { c.links[3].deaf = true }) // it judges nobody
		killed := time.Now()
		c.kill(0)
		c.sever(0)
		for c.declared() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		c.set(func() { c.links[3].deaf = false })
		for slow.count() < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := slow.last().Sub(killed); took > 2*time.Second {
			t.Errorf("the run went on after %s", took)
		}
		if row := read(t, c.nodes[1], run.ID()); row.Owner != "d" {
			t.Errorf("the run is %+v", row)
		}
		time.Sleep(soon)
		post(t, c.nodes[1], "m0")
		time.Sleep(soon)
		wantMessages(t, second, "m0")
	})
}
