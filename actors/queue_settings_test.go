package actors

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestPausedQueueStartsNothingOnAnyNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		instant := workflow.New("instant", work.step(0)).Durability(workflow.Ephemeral)
		c := startPeers(t, 2, flow, instant)
		queue, changed, err := c.nodes[0].PauseQueue(t.Context(), "default")
		if err != nil || !changed || queue.PausedAt == nil {
			t.Fatalf("pause: %+v, %t, %v", queue, changed, err)
		}
		time.Sleep(soon)
		runs := []*workflow.Handle[count]{start(t, c.nodes[1], flow), start(t, c.nodes[0], flow), start(t, c.nodes[1], instant)}
		asked, told := c.asked(), c.told()
		time.Sleep(10 * time.Minute)
		if work.starts() != 0 {
			t.Errorf("%d runs began in a paused queue", work.starts())
		}
		if asked, told := c.asked()-asked, c.told()-told; asked > 150 || told > 2 {
			t.Errorf("a paused backlog cost %d calls and %d hints in ten minutes", asked, told)
		}
		if _, changed, err := c.nodes[1].ResumeQueue(t.Context(), "default"); err != nil || !changed {
			t.Fatalf("resume: %t, %v", changed, err)
		}
		time.Sleep(soon)
		if work.starts() != 3 {
			t.Errorf("%d runs began after the queue was resumed, want 3", work.starts())
		}
		for _, run := range runs {
			finish(t, run)
		}
		if _, changed, err := c.nodes[0].ResumeQueue(t.Context(), "default"); err != nil || changed {
			t.Errorf("resumed again: %t, %v", changed, err)
		}
	})
}

func TestRunThatIsDueInAPausedQueueBeginsWhenItIsResumed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		node := startNode(t, memory.New(), Config{}, counting)
		if _, _, err := node.PauseQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		run := startWith(t, node, counting, workflow.Options{Due: time.Now().Add(time.Minute)})
		later := startWith(t, node, counting, workflow.Options{Due: time.Now().Add(time.Hour)})
		time.Sleep(30 * time.Minute)
		wantState(t, node, run.ID(), workflow.Scheduled)
		if _, _, err := node.ResumeQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantState(t, node, run.ID(), workflow.Completed)
		began := time.Now()
		finish(t, later)
		if took := time.Since(began); took > 30*time.Minute+time.Second {
			t.Errorf("the later run ended after %s", took)
		}
	})
}

func TestPauseAndLimitsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		first := startNode(t, store, Config{}, flow)
		setQueue(t, first, "default", workflow.QueueChange{GlobalLimit: new(2)})
		if _, _, err := first.PauseQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		stopNode(t, first)
		second := startNode(t, store, Config{}, flow)
		var runs []*workflow.Handle[count]
		for range 5 {
			runs = append(runs, start(t, second, flow))
		}
		time.Sleep(time.Hour)
		if work.starts() != 0 {
			t.Fatalf("%d runs began in a paused queue", work.starts())
		}
		if _, _, err := second.ResumeQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			finish(t, run)
		}
		if work.most != 2 {
			t.Errorf("%d runs at once, the limit is 2", work.most)
		}
	})
}

func TestLostNotificationIsMadeGoodByTheNextRenewal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var work spans
		flow := workflow.New("flow", work.step(time.Second))
		c := startPeers(t, 2, flow)
		c.set(func() { c.muted = true })
		if _, _, err := c.nodes[0].PauseQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		c.awaitRenewal("b")
		synctest.Wait()
		start(t, c.nodes[1], flow)
		time.Sleep(time.Minute)
		if work.starts() != 0 {
			t.Error("a run began in a queue that was paused before the last renewal")
		}
		reads := c.links[1].count("queues")
		time.Sleep(time.Hour)
		if more := c.links[1].count("queues") - reads; more > 0 {
			t.Errorf("unchanged settings were read %d more times", more)
		}
	})
}

func TestQueueThatIsSetHasSlotsOnEveryNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 2, holding)
		reports := workflow.Options{Queue: "reports"}
		if _, err := holding.StartWith(t.Context(), c.nodes[1], count{}, reports); !isInput(err) {
			t.Fatalf("a start in a queue that nobody knows: %v", err)
		}
		setQueue(t, c.nodes[0], "reports", workflow.QueueChange{NodeLimit: new(3)})
		time.Sleep(soon)
		for range 10 {
			startWith(t, c.nodes[1], holding, reports)
		}
		time.Sleep(soon)
		if inside := hold.inside.Load(); inside != 6 {
			t.Errorf("%d runs at once, want 3 on each of 2 nodes", inside)
		}
		setQueue(t, c.nodes[1], "reports", workflow.QueueChange{NodeLimit: new(1)}) // stops none
		setQueue(t, c.nodes[1], "reports", workflow.QueueChange{NodeLimit: new(0)}) // 10 by default
		time.Sleep(soon)
		if inside, ended := hold.inside.Load(), hold.ended.Load(); inside != 10 || ended != 0 {
			t.Errorf("%d runs at once, %d interrupted; want all 10 and none", inside, ended)
		}
		list, err := c.nodes[0].Queues(t.Context())
		if err != nil || len(list) != 2 || list[0].Name != "default" || list[1].Name != "reports" || list[1].Running != 10 {
			t.Errorf("queues %+v, %v", list, err)
		}
	})
}

// uncounted is a store that is too busy to count.
type uncounted struct{ persistence.Store }

func (uncounted) QueueStats(ctx context.Context) ([]persistence.QueueStats, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestQueueIsPausedAlsoWhenNobodyCanCount(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, uncounted{memory.New()}, Config{})
		began := time.Now()
		queue, changed, err := node.PauseQueue(t.Context(), "elsewhere")
		if err != nil || !changed || queue.PausedAt == nil || queue.New || time.Since(began) > knowsPatience {
			t.Errorf("pause: %+v, %t, %v after %s", queue, changed, err, time.Since(began))
		}
		if _, err := node.SetQueue(t.Context(), "elsewhere", workflow.QueueChange{GlobalLimit: new(1)}); err != nil {
			t.Errorf("set: %v", err)
		}
	})
}

func TestQueueVerbsRefuseWhatIsNoQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		for _, name := range []string{"", "a b", "ü", string(slices.Repeat([]byte("a"), 300))} {
			_, set := node.SetQueue(t.Context(), name, workflow.QueueChange{})
			_, _, pause := node.PauseQueue(t.Context(), name)
			_, _, resume := node.ResumeQueue(t.Context(), name)
			for _, err := range []error{set, pause, resume} {
				if !isInput(err) || len(fmt.Sprint(err)) > 400 {
					t.Errorf("%.10q: %v", name, err)
				}
			}
		}
		if _, err := node.SetQueue(t.Context(), "q", workflow.QueueChange{Burst: new(1)}); !isInput(err) {
			t.Errorf("a burst without a rate: %v", err)
		}
	})
}

// crowded is a store in which more runs wait than are counted.
type crowded struct{ persistence.Store }

func (crowded) QueueStats(context.Context) ([]persistence.QueueStats, error) {
	return []persistence.QueueStats{{
		Queue: "default", Available: workflow.MostCounted + 1, Running: workflow.MostCounted + 1, Scheduled: 2 * workflow.MostCounted, Retryable: 7,
	}}, nil
}

func TestCountsOfQueuesEndAtTheirBoundOnEveryStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, crowded{memory.New()}, Config{Queues: map[string]int{"default": 1}})
		list, err := node.Queues(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("queues %+v, %v; want one", list, err)
		}
		q := list[0]
		if q.Available != workflow.MostCounted || q.Running != workflow.MostCounted+1 || q.Scheduled != workflow.MostCounted || q.Retryable != 7 {
			t.Errorf("queue %+v, want what waits counted up to the bound", q)
		}
	})
}
