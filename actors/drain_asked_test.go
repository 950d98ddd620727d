package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/messages"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// stopWhenAsked is an owner of a node that watches for a drain. The channel is
// closed when the node has stopped.
func stopWhenAsked(t *testing.T, node *Node) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-node.DrainAsked()
		stopNode(t, node)
	}()
	return stopped
}

func TestNodeDrainsWhenAnyOtherIsAsked(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", add("one"), hold.step().Timeout(time.Hour), add("three"))
		c := startPeers(t, 3, holding)
		stopped := stopWhenAsked(t, c.nodes[1])
		run := start(t, c.nodes[1], holding)
		synctest.Wait()

		for range 2 {
			if instance, err := c.nodes[2].Drain(t.Context(), "b"); err != nil || instance != "b" {
				t.Errorf("got %q, %v", instance, err)
			}
			if err := c.nodes[1].Ready(t.Context()); !errors.Is(err, workflow.ErrDraining) {
				t.Errorf("readiness answered %v", err)
			}
		}
		hold.open()
		<-stopped

		handle, err := holding.Handle(t.Context(), c.nodes[0], run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if out := finish(t, handle); !slices.Equal(out.Trail, []string{"one", "hold", "three"}) {
			t.Errorf("got %+v", out)
		}
		if row := read(t, c.nodes[0], run.ID()); row.Crashes != 0 {
			t.Errorf("got %+v, want no crash", row)
		}
		if instance, err := c.nodes[2].Drain(t.Context(), "b"); !errors.Is(err, workflow.ErrActorNotFound) {
			t.Errorf("the node that has ended: got %q, %v", instance, err)
		}
	})
}

func TestDrainThatReachesNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		if instance, err := c.nodes[1].Drain(t.Context(), "z"); !errors.Is(err, workflow.ErrActorNotFound) {
			t.Errorf("an unknown node: got %q, %v", instance, err)
		}
		c.sever(0)
		if instance, err := c.nodes[1].Drain(t.Context(), "a"); !errors.Is(err, workflow.ErrUnreachable) {
			t.Errorf("a node that cannot be reached: got %q, %v", instance, err)
		}
	})
}

func TestDrainIsNotConfirmedBeforeItBegins(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if instance, err := c.nodes[1].Drain(ctx, "a"); !errors.Is(err, workflow.ErrNoReply) {
			t.Errorf("got %q, %v", instance, err)
		}
		if err := c.nodes[0].Ready(t.Context()); err != nil {
			t.Errorf("readiness answered %v", err)
		}
	})
}

func TestRepeatedDrainIsOneDrain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var log strings.Builder
		node := startNode(t, memory.New(), Config{Instance: "here", Logger: textLog(&log)})
		stopped := stopWhenAsked(t, node)
		letter := &messages.Letter{Id: "l1", Target: supervisorTarget, Type: "drain", PayloadJson: []byte(`{"by":"there"}`)}
		for range 3 {
			if reply := node.Answer(t.Context(), letter); string(reply.GetReplyJson()) != `{"node":"here"}` {
				t.Errorf("got %v", reply)
			}
		}
		if instance, err := node.Drain(t.Context(), "here"); err != nil || instance != "here" {
			t.Errorf("by its own label: got %q, %v", instance, err)
		}
		<-stopped
		if n := strings.Count(log.String(), "asked to drain"); n != 1 || !strings.Contains(log.String(), "by=there") {
			t.Errorf("got log %s, want once who asked", log.String())
		}
	})
}
