package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// flush makes a node send, or read, now.
func flush(t testing.TB, node *Node, pid string) string {
	t.Helper()
	reply, err := node.Send(t.Context(), pid, "flush", nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

func TestResultsAreSentWhenThereAreAny(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 1))
		h := newHub()
		c := startHubCluster(t, 1, h, asks)
		time.Sleep(time.Hour)
		quiet := c.links[0].count("uncounted") + c.links[0].count("read records")
		if updates := h.updates(t); len(updates) != 0 || quiet != 1 {
			t.Fatalf("an idle node sent %+v, and asked the store %d times; want one look for boots that ended before", updates, quiet)
		}
		finish(t, start(t, c.nodes[0], asks))
		time.Sleep(31 * time.Second)
		updates := h.updates(t)
		if len(updates) != 1 {
			t.Fatalf("updates %+v, want one", updates)
		}
		update := updates[0]
		if update.ID != "a" || update.Boot != string(c.boot(0)) || update.Count != 1 || *update.SuccessRate != 1 || *update.CostCents != 0.25 ||
			update.Tokens != 15 || !slices.Equal(update.Models, []centralcloud.ModelCount{{Model: "small", Count: 1}}) ||
			!slices.Equal(update.Patterns, []string{"greeting"}) || *update.LatencyMillis < 2000 || update.PeriodSeconds <= 0 {
			t.Errorf("update %+v", update)
		}
		if sum := h.wantCounted(t, c.nodes[0]); sum.TokensIn != 20 || sum.Cost != 2000 || sum.Latency.Count() != 1 {
			t.Errorf("counters %+v", sum)
		}
		if len(update.Samples) != 2 {
			t.Errorf("samples %+v, want the failure and the success", update.Samples)
		}
		before := c.links[0].count("read records")
		time.Sleep(time.Hour)
		if n := len(h.updates(t)); n != 1 || c.links[0].count("read records") != before {
			t.Errorf("%d updates after an hour in which nothing happened, and %d looks", n, c.links[0].count("read records")-before)
		}
		if stats := c.nodes[0].Stats().CentralCloud; stats.ResultMessages != 1 || stats.ResultsLag != 0 || stats.ResultsSentAt.IsZero() {
			t.Errorf("stats %+v", stats)
		}
	})
}

func TestFlushSendsResultsNow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newHub()
		node := hubNode(t, memory.New(), h, asks)
		finish(t, start(t, node, asks))
		time.Sleep(time.Second)
		if stats := node.Stats().CentralCloud; stats.ResultsLag < time.Second || stats.ResultMessages != 0 {
			t.Errorf("stats %+v, want nothing sent for a second", stats)
		}
		if reply := flush(t, node, "sync"); reply != `{"messages":1,"counters":1,"samples":1,"boots":1}` {
			t.Errorf("reply %s", reply)
		}
		h.wantCounted(t, node)
		if reply := flush(t, node, "sync"); reply != `{"messages":0,"counters":0,"samples":0,"boots":0}` {
			t.Errorf("reply %s of a flush with nothing to send", reply)
		}
		if reply, err := node.Send(t.Context(), "a/sync", "ping", nil); err != nil || string(reply) != `{"pid":"sync","node":"a"}` {
			t.Errorf("ping: %s, %v", reply, err)
		}
	})
}

func TestNodesOfADatabaseSealAlikeAndOthersOtherwise(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		seals := func() (sealed []centralcloud.Sealed) {
			h := newHub()
			c := startHubCluster(t, 2, h, asks)
			for _, node := range c.nodes {
				finish(t, start(t, node, asks))
			}
			time.Sleep(time.Minute)
			for _, update := range h.updates(t) {
				for _, repeats := range update.Repeats {
					sealed = append(sealed, repeats.Questions[0].Sealed)
				}
			}
			if len(sealed) != 2 || sealed[0] != sealed[1] {
				t.Fatalf("two nodes that asked the same have the seals %x", sealed)
			}
			return sealed
		}
		if one, other := seals(), seals(); one[0] == other[0] {
			t.Errorf("nodes of two databases have the seal %x for the same question", one[0])
		}
	})
}

func TestEachRecordCountsOnceAcrossKillsTakeoversAndRepeats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		inBubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			asks := workflow.New("asks", asking("first", 3*time.Second, 1), asking("second", 20*time.Second, 0), asking("third", time.Second, 2))
			h := newHub()
			c := startHubCluster(t, 4, h, asks)
			for range 24 {
				start(t, c.nodes[random.IntN(3)], asks)
			}
			for i := range 3 { // the last one lives
				time.Sleep(time.Duration(random.IntN(50_000)) * time.Millisecond)
				h.set(func() { h.fading = random.IntN(2) == 0 })
				switch random.IntN(3) {
				case 0:
					c.kill(i)
				case 1:
					c.pause(i)
				default:
					stopNode(t, c.nodes[i])
				}
				_, _ = c.nodes[3].Send(t.Context(), "sync", "flush", nil)
			}
			time.Sleep(10 * time.Minute)
			h.set(func() { h.fading = false })
			time.Sleep(10 * time.Minute)
			for i := range 3 {
				c.resume(i) // a paused one finds that it was declared dead
			}
			time.Sleep(10 * time.Minute)
			h.wantCounted(t, c.nodes[3])
			if t.Failed() {
				t.Fatalf("with seed %d", seed)
			}
		})
	}
}

func TestRecordsOfADeadNodeAreCountedByAnother(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("one", time.Second, 0), asking("two", time.Hour, 0).Timeout(2*time.Hour))
		h := newHub()
		c := startHubCluster(t, 2, h, asks)
		time.Sleep(time.Minute)
		dead := c.boot(0)
		start(t, c.nodes[0], asks)
		time.Sleep(5 * time.Second)
		c.kill(0)
		time.Sleep(time.Minute)
		if _, _, byBoot := sums(h.counted(t)); byBoot[string(dead)] != 1 {
			t.Fatalf("counted %v, want one record of %s", byBoot, dead)
		}
		for _, update := range h.updates(t) {
			if update.ID != "a" || update.Boot != string(dead) {
				t.Errorf("update %+v, want one of a", update)
			}
		}
		looks := c.links[1].count("read records")
		time.Sleep(30 * time.Minute)
		if n := c.links[1].count("read records"); n != looks {
			t.Errorf("the dead boot was looked at %d more times", n-looks)
		}
	})
}

func TestNextProcessCountsWhatTheLastOneDidNot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		store, h := memory.New(), newHub()
		first := hubNode(t, store, h, asks)
		finish(t, start(t, first, asks))
		die(t, store, first)
		second := hubNode(t, store, h, asks)
		time.Sleep(31 * time.Second)
		h.wantCounted(t, second)
		if ended, err := store.Uncounted(t.Context()); err != nil || len(ended) != 0 {
			t.Errorf("not counted: %+v, %v", ended, err)
		}
	})
}

func TestNodeThatStopsSendsItsLastResults(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		store, h := memory.New(), newHub()
		node := hubNode(t, store, h, asks)
		finish(t, start(t, node, asks))
		stopNode(t, node)
		h.wantCounted(t, node)
		if ended, err := store.Uncounted(t.Context()); err != nil || len(ended) != 0 {
			t.Errorf("not counted: %+v, %v", ended, err)
		}
	})
}

func TestRunsGoOnWhileTheHubIsAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var log strings.Builder
		asks := workflow.New("asks", asking("ask", time.Second, 1))
		h := newHub()
		h.down = true
		node := startNode(t, memory.New(), Config{CentralCloud: CentralCloud{Queue: h}, Logger: textLog(&log)}, asks)
		for range 5 {
			finish(t, start(t, node, asks))
			time.Sleep(4 * time.Minute)
		}
		tries := h.tried()
		time.Sleep(time.Hour)
		if n := h.tried() - tries; n < 60 || n > 260 {
			t.Errorf("%d tries in an hour to reach a hub that is away, want about one a minute of each of two", n)
		}
		if stats := node.Stats().CentralCloud; stats.ResultsLag < time.Hour || stats.ResultsFailures == 0 || stats.LearningsFailures == 0 {
			t.Errorf("stats %+v", stats)
		}
		if _, err := node.Send(t.Context(), "sync", "flush", nil); !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), errHubDown.Error()) {
			t.Errorf("flush: %v", err)
		}
		h.set(func() { h.down = false })
		time.Sleep(2 * time.Minute)
		h.wantCounted(t, node)
		if jobs := h.updates(t)[0].Count; jobs != 5 {
			t.Errorf("%d runs are in the summary, want 5", jobs)
		}
		if stats := node.Stats().CentralCloud; stats.ResultsLag != 0 {
			t.Errorf("stats %+v", stats)
		}
		stopNode(t, node)
		for text, times := range map[string]int{"results do not reach the hub": 1, "results reach the hub again": 1, "queue cannot be read": 1, "queue is read again": 1} {
			if n := strings.Count(log.String(), text); n != times {
				t.Errorf("the log says %d times %q, want %d", n, text, times)
			}
		}
	})
}

func TestHubThatIsAwayDoesNotHoldUpANodeThatStops(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		store, h := memory.New(), newHub()
		node := hubNode(t, store, h, asks)
		finish(t, start(t, node, asks))
		h.set(func() { h.down = true })
		began := time.Now()
		stopNode(t, node)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the node took %s to stop", took)
		}
		h.set(func() { h.down = false })
		next := hubNode(t, store, h, asks)
		time.Sleep(31 * time.Second)
		h.wantCounted(t, next)
	})
}

func TestSyncGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newHub()
		node := hubNode(t, memory.New(), h, asks)
		finish(t, start(t, node, asks))
		flush(t, node, "sync")
		finish(t, start(t, node, asks))
		closed := make(chan struct{})
		close(closed)
		for _, name := range []string{"sync", "learnings"} {
			node.system.Root.Send(node.pid(name), pingActor{closed})
		}
		time.Sleep(time.Minute)
		h.wantCounted(t, node)
	})
}

func TestRecordsThatAreNoCallsAreLeftOut(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var log strings.Builder
		odd := workflow.New("odd", recording("text", persistence.CountedKind, "no object"), recording("empty", persistence.CountedKind, map[string]int{}),
			recording("other", "other", call("big", "")), recording("call", persistence.CountedKind, call("big", "")))
		h := newHub()
		node := startNode(t, memory.New(), Config{CentralCloud: CentralCloud{Queue: h}, Logger: textLog(&log)}, odd)
		finish(t, start(t, node, odd))
		flush(t, node, "sync")
		if _, records, _ := sums(h.counted(t)); records != 1 {
			t.Errorf("%d records, want the one that can be read", records)
		}
		stopNode(t, node)
		if !strings.Contains(log.String(), "records=2") {
			t.Errorf("the log does not tell of two records that are no calls:\n%s", log.String())
		}
	})
}

func TestNodeWithoutAHubCountsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		c := startCluster(t, 2, asks)
		finish(t, start(t, c.nodes[0], asks))
		c.kill(0)
		time.Sleep(10 * time.Minute)
		for _, what := range []string{"read records", "uncounted", "note counted", "learnings", "keep learnings"} {
			if n := c.links[0].count(what) + c.links[1].count(what); n != 0 {
				t.Errorf("%s: %d calls", what, n)
			}
		}
		for _, pid := range []string{"sync", "learnings"} {
			if _, err := c.nodes[1].Send(t.Context(), pid, "flush", nil); !errors.Is(err, workflow.ErrActorNotFound) {
				t.Errorf("%s: %v", pid, err)
			}
		}
		if c.nodes[1].Stats().CentralCloud != nil || c.nodes[1].Learned() == nil {
			t.Error("a node without a hub has counts of it, or nil for what it was taught")
		}
	})
}

func TestRunsAreKeptUntilTheirRecordsAreSent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", 0, 0))
		h := newHub()
		policy := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: time.Second}}
		node := startNode(t, memory.New(), Config{Retention: policy, CentralCloud: CentralCloud{Queue: h}}, asks)
		for range 40 {
			finish(t, start(t, node, asks))
			time.Sleep(time.Second)
		}
		time.Sleep(4 * time.Minute)
		h.wantCounted(t, node)
		if n := len(listed(t, node, "asks")); n != 40 {
			t.Errorf("%d runs are left after four minutes, want all 40", n)
		}
		time.Sleep(5 * time.Minute)
		if n := len(listed(t, node, "asks")); n != 0 {
			t.Errorf("%d runs are left after nine minutes", n)
		}
		if _, records, _ := sums(h.counted(t)); records != 40 {
			t.Errorf("the hub has %d records, want 40", records)
		}
	})
}

func TestIntervalsBelowZeroAreRefused(t *testing.T) {
	t.Parallel()
	_, err := NewNode(memory.New(), Config{CentralCloud: CentralCloud{ResultsEvery: -1, LearningsEvery: -time.Second}})
	for _, want := range []string{"results are sent every -1ns", "learnings are read every -1s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one saying %q", err, want)
		}
	}
}

// recording is a step that records something.
func recording(name, kind string, doc any) workflow.Step[count] {
	return workflow.Do(name, func(ctx context.Context, _ *count) error {
		workflow.Record(ctx, kind, doc)
		return nil
	})
}
