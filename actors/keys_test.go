package actors

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// wantKeys expects each node to have keys, as "label: primary others", or an
// error.
func wantKeys(t *testing.T, nodes []*messages.NodeKeys, err error, want ...string) {
	t.Helper()
	var got []string
	for _, keys := range nodes {
		line := keys.GetInstanceId() + ": " + strings.Join(slices.Concat([]string{keys.GetPrimary()}, keys.GetOthers()), " ")
		if keys.GetError() != "" {
			line = keys.GetInstanceId() + ": " + keys.GetError()
		}
		got = append(got, strings.ReplaceAll(line, "print of ", ""))
	}
	if err != nil || !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got keys %q, %v; want %q", got, err, want)
	}
}

// port is the end of the network of a node.
func (c *cluster) port(node int) *port {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	return c.network.nodes[c.nodes[node].Boot()]
}

func TestKeysOfAllNodesAreReplacedThroughAnyOfThem(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 3)
		for range 2 {
			nodes, err := c.nodes[0].AddKey(t.Context(), "new")
			wantKeys(t, nodes, err, "a: old new", "b: old new", "c: old new")
		}
		for range 2 {
			nodes, err := c.nodes[1].UseKey(t.Context(), "print of new")
			wantKeys(t, nodes, err, "a: new old", "b: new old", "c: new old")
		}
		for range 2 {
			nodes, err := c.nodes[2].RemoveKey(t.Context(), "print of old")
			wantKeys(t, nodes, err, "a: new", "b: new", "c: new")
		}
		nodes, err := c.nodes[0].Keys(t.Context())
		wantKeys(t, nodes, err, "a: new", "b: new", "c: new")
	})
}

func TestKeyThatANodeLacksIsNotUsed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 3)
		if _, err := c.nodes[0].AddKey(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		c.port(1).keys = []string{"print of old"}

		nodes, err := c.nodes[0].UseKey(t.Context(), "print of new")

		if !errors.Is(err, workflow.ErrNodesNotReady) || !strings.Contains(err.Error(), ": b does not have the key print of new") || strings.Contains(err.Error(), "c does") {
			t.Errorf("got %v, %v; want a refusal that names b alone", nodes, err)
		}
		nodes, err = c.nodes[0].Keys(t.Context())
		wantKeys(t, nodes, err, "a: old new", "b: old", "c: old new")
	})
}

func TestKeyThatANodeEncryptsWithIsNotRemoved(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 3)
		if _, err := c.nodes[0].AddKey(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		c.port(2).keys = []string{"print of new", "print of old"} // as after half of a use

		nodes, err := c.nodes[0].RemoveKey(t.Context(), "print of new")

		if !errors.Is(err, workflow.ErrNodesNotReady) || !strings.Contains(err.Error(), ": c encrypts with the key print of new") || strings.Contains(err.Error(), "a encrypts") {
			t.Errorf("got %v, %v; want a refusal that names c alone", nodes, err)
		}
		nodes, err = c.nodes[0].Keys(t.Context())
		wantKeys(t, nodes, err, "a: old new", "b: old new", "c: new old")
	})
}

func TestNodeThatDoesNotAnswerKeepsKeysFromUseAndRemoval(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 3)
		c.sever(1)
		nodes, err := c.nodes[0].AddKey(t.Context(), "new")
		wantKeys(t, nodes, err, "a: old new", "b: the node of boot", "c: old new")
		if !strings.Contains(nodes[1].GetError(), workflow.ErrUnreachable.Error()) || nodes[1].GetBoot() != string(c.nodes[1].Boot()) {
			t.Errorf("got %v, want why it does not answer", nodes[1])
		}
		for verb, change := range map[string]func() ([]*messages.NodeKeys, error){
			"use":    func() ([]*messages.NodeKeys, error) { return c.nodes[0].UseKey(t.Context(), "print of new") },
			"remove": func() ([]*messages.NodeKeys, error) { return c.nodes[0].RemoveKey(t.Context(), "print of new") },
		} {
			if nodes, err := change(); !errors.Is(err, workflow.ErrNodesNotReady) || !strings.Contains(err.Error(), ": b does not say") {
				t.Errorf("%s: got %v, %v; want a refusal that names b", verb, nodes, err)
			}
		}
		c.mend()
		nodes, err = c.nodes[2].AddKey(t.Context(), "new")
		wantKeys(t, nodes, err, "a: old new", "b: old new", "c: old new")
	})
}

func TestNodeThatFallsSilentIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		time.AfterFunc(latency/2, func() { c.sever(0) })
		begin := time.Now()
		nodes, err := c.nodes[1].Keys(t.Context())
		wantKeys(t, nodes, err, "a: the node of boot", "b: old")
		if took := time.Since(begin); took != keysWithin {
			t.Errorf("it took %s, want %s", took, keysWithin)
		}
	})
}

func TestNodeThatCannotWriteItsKeysSaysWhy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		c.port(1).broken = errors.New("read-only file system")
		nodes, err := c.nodes[0].AddKey(t.Context(), "new")
		wantKeys(t, nodes, err, "a: old new", "b: read-only file system")
	})
}

func TestNodeThatLostTheDatabaseIsAskedWhileOthersSeeIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		c.pause(1)
		time.Sleep(time.Minute)
		if members, err := c.nodes[0].Members(t.Context()); err != nil || !slices.ContainsFunc(members, func(m persistence.Member) bool { return m.Instance == "b" && m.Status == "offline" }) {
			t.Fatalf("got %v, %v; want b offline", members, err)
		}
		nodes, err := c.nodes[0].AddKey(t.Context(), "new")
		wantKeys(t, nodes, err, "a: old new", "b: old new")
	})
}

func TestNodeAloneHasNoKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{Instance: "here"})
		nodes, err := node.Keys(t.Context())
		wantKeys(t, nodes, err, "here: this node talks to no others")
	})
}

func TestChangeOfKeysIsLoggedWithoutTheKey(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const secret = "c2l4dGVlbiBieXRlcyA6KQ=="
		var log strings.Builder
		p := &port{network: &network{nodes: map[persistence.BootID]*port{}}}
		node := startNode(t, newDatabase().link(), Config{Instance: "here", Peers: p, Logger: textLog(&log)})
		p.attach(node)
		payload := []byte(`{"add":"` + secret + `","by":"there"}`)

		reply := node.Answer(t.Context(), &messages.Letter{Id: "l1", Target: supervisorTarget, Type: "keys", PayloadJson: payload})

		if string(reply.GetReplyJson()) != `{"keys":["print of c2l"]}` {
			t.Errorf("got %v", reply)
		}
		p.broken = errors.New("disk full")
		refused := node.Answer(t.Context(), &messages.Letter{Id: "l2", Target: supervisorTarget, Type: "keys", PayloadJson: payload})
		if refused.GetFailure().GetText() != "disk full" {
			t.Errorf("got %v", refused)
		}
		if text := log.String(); strings.Count(text, "change the keys") != 1 || !strings.Contains(text, `by=there keys="[print of c2l]"`) || strings.Contains(text, secret) {
			t.Errorf("got log %s, want who asked and no key", text)
		}
	})
}
