package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// visits notes who began a step, and when.
type visits struct {
	mu    sync.Mutex
	began []time.Time
	ended []error // of the contexts of those that did not finish
}

// step begins, is noted, and lasts.
func (v *visits) step(name string, lasts time.Duration) workflow.Step[count] {
	return workflow.Do(name, func(ctx context.Context, s *count) error {
		v.mu.Lock()
		v.began = append(v.began, time.Now())
		v.mu.Unlock()
		select {
		case <-time.After(lasts):
			s.Trail = append(s.Trail, name)
			return nil
		case <-ctx.Done():
			v.mu.Lock()
			defer v.mu.Unlock()
			v.ended = append(v.ended, ctx.Err())
			return ctx.Err()
		}
	})
}

func (v *visits) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.began)
}

// interrupted counts those that did not finish.
func (v *visits) interrupted() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.ended)
}

func (v *visits) last() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.began[len(v.began)-1]
}

// handle is a run as another node sees it.
func handle(t testing.TB, node *Node, w *workflow.Workflow[count, count], id workflow.RunID) *workflow.Handle[count] {
	t.Helper()
	h, err := w.Handle(t.Context(), node, id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRunsOfAKilledNodeGoOnElsewhereWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", add("one"), slow.step("slow", time.Minute).Timeout(time.Hour), add("three"))
		c := startCluster(t, 3, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		killed := time.Now()
		c.kill(0)
		out := finish(t, handle(t, c.nodes[1], flow, run.ID()))
		if !slices.Equal(out.Trail, []string{"one", "slow", "three"}) {
			t.Errorf("got %+v", out)
		}
		if slow.count() != 2 {
			t.Fatalf("the step that was in flight began %d times, want 2", slow.count())
		}
		if took := slow.last().Sub(killed); took > 2*time.Second {
			t.Errorf("the run went on after %s", took)
		}
		if c.declared() != 1 {
			t.Errorf("%d boots were declared dead, want one, once", c.declared())
		}
		if row := read(t, c.nodes[1], run.ID()); row.Owner == "a" {
			t.Errorf("the run was ended by the dead: %+v", row)
		}
	})
}

func TestPausedNodeLosesItsRunsDropsThemAndJoinsAnew(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", add("one"), slow.step("slow", time.Minute).Timeout(time.Hour), add("three"))
		c := startCluster(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		before, paused := c.nodes[0].standing.boot().ID, time.Now()
		c.pause(0)
		for slow.count() < 2 {
			time.Sleep(50 * time.Millisecond)
		}
		if took := slow.last().Sub(paused); took > 6*time.Second {
			t.Errorf("the run went on after %s, want under 6s", took)
		}
		c.resume(0)
		time.Sleep(2 * time.Second)
		if n := slow.interrupted(); n != 1 {
			t.Errorf("the context of the step that lost its run ended %d times, want once", n)
		}
		if after := c.nodes[0].standing.boot().ID; after == before {
			t.Error("the node goes on under the boot that was declared dead")
		}
		if inMemory(c.nodes[0], run.ID()) {
			t.Error("the node has not dropped the run")
		}
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		steps, err := c.nodes[1].Steps(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if owners := []string{steps[0].Owner, steps[1].Owner, steps[2].Owner}; !slices.Equal(owners, []string{"a", "b", "b"}) {
			t.Errorf("the history was written by %v", owners)
		}
		next := start(t, c.nodes[0], workflow.New("flow", add("one"), slow.step("slow", time.Minute), add("three")))
		finish(t, next)
		if row := read(t, c.nodes[0], next.ID()); row.Owner != "a" {
			t.Errorf("a run that the node took after it joined anew: %+v", row)
		}
	})
}

func TestLateWriteOfAPausedNodeIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		flow := workflow.New("flow", hold.step().Timeout(time.Hour), add("two"))
		c := startCluster(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		c.pause(0)
		for c.declared() == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		// Both the paused node and the new owner finish the step.
		hold.open()
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		fenced := c.nodes[0].Stats().Fenced
		c.resume(0)
		time.Sleep(5 * time.Second)
		if got := c.nodes[0].Stats().Fenced; got <= fenced {
			t.Error("no write of the paused node was refused: the test has missed it")
		}
		if got := history(t, c.nodes[1], run.ID()); !slices.Equal(got, []string{"hold completed", "two completed"}) {
			t.Errorf("history is %v", got)
		}
	})
}

func TestNothingBeginsWhileTheLeaseIsInDoubt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var second visits
		flow := workflow.New("flow", lasting("one", 3*time.Second), second.step("two", time.Millisecond))
		passing := workflow.New("passing", add("one")).Durability(workflow.Ephemeral)
		c := startCluster(t, 2, flow, passing)
		c.awaitRenewal("a")
		run := start(t, c.nodes[0], flow)
		c.set(func() { c.links[0].deaf = true })
		time.Sleep(3200 * time.Millisecond) // the step has ended, and the lease has not
		if got := history(t, c.nodes[0], run.ID()); !slices.Equal(got, []string{"one completed"}) {
			t.Errorf("history is %v: what was under way is to be stored", got)
		}
		if second.count() != 0 {
			t.Error("a step began while the lease was in doubt")
		}
		if err := c.nodes[0].Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "lease") {
			t.Errorf("the node says that it is ready: %v", err)
		}
		fresh := start(t, c.nodes[0], flow)
		if row := read(t, c.nodes[0], fresh.ID()); row.Owner == "a" {
			t.Error("a run began while the lease was in doubt")
		}
		if out := finish(t, start(t, c.nodes[0], passing)); out.N != 1 {
			t.Errorf("a run that no lease protects ended with %+v", out)
		}
		c.set(func() { c.links[0].deaf = false })
		time.Sleep(500 * time.Millisecond)
		if second.count() != 1 {
			t.Errorf("the step that waited for the lease began %d times, want once", second.count())
		}
		if err := c.nodes[0].Ready(t.Context()); err != nil {
			t.Errorf("the node says %v", err)
		}
		finish(t, run)
		finish(t, fresh)
		if c.declared() != 0 {
			t.Error("a node was declared dead")
		}
	})
}

func TestNodeWhoseFirstRenewalsFailDoesNotBegin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 1, workflow.New("flow", add("one")))
		lonely := c.link()
		node, err := NewNode(lonely, Config{Instance: "z", Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		c.set(func() { lonely.deaf = true })
		if err := node.Start(t.Context()); !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), "lease") {
			t.Errorf("start answered %v", err)
		}
		if err := node.Stop(t.Context()); err != nil {
			t.Errorf("stop answered %v", err)
		}
	})
}

func TestOutageOfTheDatabaseIsNobodysDeath(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", add("one"), slow.step("slow", 20*time.Second), add("three"))
		c := startCluster(t, 3, flow)
		var runs []*workflow.Handle[count]
		for i := range 3 {
			runs = append(runs, start(t, c.nodes[i], flow))
		}
		synctest.Wait()
		c.set(func() { c.down = true })
		time.Sleep(time.Minute)
		if _, err := flow.Start(t.Context(), c.nodes[0], count{}); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("a start during the outage answered %v", err)
		}
		c.set(func() { c.down = false })
		for _, run := range runs {
			finish(t, run)
		}
		if slow.count() != 3 || c.declared() != 0 {
			t.Errorf("the three steps began %d times, %d nodes were declared dead", slow.count(), c.declared())
		}
	})
}

func TestRunThatFindsNoSlotRunsOnAnotherNodeSoon(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", time.Minute).Timeout(time.Hour))
		c := startCluster(t, 2, flow)
		for range 2 {
			start(t, c.nodes[0], flow)
		}
		time.Sleep(2 * time.Second) // the other node learns that runs run elsewhere
		began := time.Now()
		third := start(t, c.nodes[0], flow)
		time.Sleep(sharedCadence.least + 50*time.Millisecond)
		if row := read(t, c.nodes[0], third.ID()); row.Owner != "b" || slow.last().Sub(began) > sharedCadence.least {
			t.Errorf("the third run is %+v", row)
		}
		finish(t, third)
	})
}

func TestEndOnAnotherNodeIsNoticedByTheNextSweep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", 7*time.Second))
		c := startCluster(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		time.Sleep(time.Minute / 20)
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		row := read(t, c.nodes[1], run.ID())
		if late := time.Since(*row.FinishedAt); late > sharedCadence.least+50*time.Millisecond {
			t.Errorf("who waits on another node learnt it %s after the end", late)
		}
	})
}

func TestEnqueuedRunWakesANodeAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 1, flow)
		time.Sleep(time.Minute) // the sweeps have become rare
		insert := persistence.Insert{
			Run: workflow.NewRunID(), Workflow: "flow", Version: 1, Step: "one", Queue: "default", Input: []byte(`{}`),
		}
		if _, err := c.runs.Commit(t.Context(), []persistence.Write{insert}); err != nil {
			t.Fatal(err)
		}
		c.links[0].listener.Enqueued("default")
		synctest.Wait()
		wantState(t, c.nodes[0], insert.Run, workflow.Completed)
		c.links[0].listener.Enqueued("a queue of other nodes")
		synctest.Wait()
	})
}

func TestLeaseOutlastsTheLastStepOfANodeThatStops(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", 9*time.Second), add("two"))
		c := startCluster(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stopNode(t, c.nodes[0])
		}()
		time.Sleep(8 * time.Second)
		if status := c.status("a"); status.State != persistence.NodeDraining {
			t.Errorf("the node that stops says of itself %+v", status)
		}
		<-stopped
		finish(t, handle(t, c.nodes[1], flow, run.ID()))
		row := read(t, c.nodes[1], run.ID())
		if c.declared() != 0 || row.Crashes != 0 {
			t.Errorf("%d boots were declared dead, the run has %d crashes", c.declared(), row.Crashes)
		}
		if got := history(t, c.nodes[1], run.ID()); !slices.Equal(got, []string{"one completed", "two completed"}) {
			t.Errorf("history is %v", got)
		}
	})
}

func TestAgentsComeAlongWithANodeThatJoinsAnew(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 2)
		taken := make(chan string, 10)
		err := c.nodes[0].RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
			taken <- m.ID
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		before, err := c.runs.Agent(t.Context(), "desk")
		if err != nil {
			t.Fatal(err)
		}
		c.pause(0)
		for c.declared() == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		c.resume(0)
		time.Sleep(5 * time.Second)
		after, err := c.runs.Agent(t.Context(), "desk")
		if err != nil || after.Epoch <= before.Epoch || after.Boot != c.nodes[0].standing.boot().ID {
			t.Errorf("the agent is %+v, %v; was %+v", after, err, before)
		}
		if _, err := c.nodes[0].Send(t.Context(), "agent/desk", "message", json.RawMessage(`{"id":"m1","type":"greeting","payload":{}}`)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(taken) != 1 {
			t.Errorf("the agent took %d messages, want 1", len(taken))
		}
		if agent, err := c.runs.Agent(t.Context(), "desk"); err != nil || agent.Waiting != 0 {
			t.Errorf("the agent is %+v, %v: its acknowledgement is refused", agent, err)
		}
	})
}

func TestCrashedSessionIsRestartedAndGoesOnRenewing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", lasting("one", 20*time.Second))
		c := startCluster(t, 2, flow)
		run := start(t, c.nodes[0], flow)
		synctest.Wait()
		standing := c.nodes[0].standing
		standing.mu.Lock()
		standing.held = append(standing.held, nil) // to tell it panics in Receive
		standing.mu.Unlock()
		finish(t, run)
		if c.declared() != 0 {
			t.Error("a node was declared dead because its session crashed")
		}
		tree, err := c.nodes[0].Tree(t.Context(), "")
		if err != nil || tree.Children[0].Name != "session" || tree.Children[0].Restarts != 1 {
			t.Errorf("the tree begins with %+v, %v", tree.Children[0], err)
		}
	})
}
