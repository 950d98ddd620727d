package actors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// routing teaches which model to choose.
func routing(version int, model string) string {
	return fmt.Sprintf(`{"type":"model_routing","version":%d,"routing_rules":{"version":%[1]d,"rows":[
		{"task_type":"*","complexity_bucket":-1,"arms":[{"provider":"p","model":%q,"weight":1}]}]}}`, version, model)
}

// chosen is the model that a node's policy names; empty for none.
func chosen(node *Node) string {
	policy := node.Learned().Policy
	if policy == nil {
		return ""
	}
	return policy.Rows[0].Arms[0].Model
}

// left are how many messages are in a node's queue, and how many are dead.
func left(h *hub, label string) (waiting, dead int) {
	return len(h.messages(centralcloud.DownQueue(label))), len(h.messages(centralcloud.DeadDown))
}

func TestLearningsAreAppliedWithinTenSecondsAndAcknowledged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHub()
		node := hubNode(t, memory.New(), h)
		h.teach("a", routing(3, "m1"))
		h.teach("a", `{"type":"pattern_discovery","version":4,"pattern_name":"chain","pattern_definition":{"steps":["classifier","coder"]}}`)
		h.teach("a", `{"type":"cost_optimization","version":5,"estimated_savings":0.2,"settings":{"max_tokens":900}}`)
		h.teach("a", `{"type":"performance_benchmark","version":6,"benchmarks":[{"model":"m1"}]}`)
		time.Sleep(10*time.Second + time.Millisecond)
		learned := node.Learned()
		if chosen(node) != "m1" || string(learned.Patterns["chain"]) != `{"steps":["classifier","coder"]}` ||
			string(learned.Savings.Settings["max_tokens"]) != "900" || string(learned.Benchmarks) != `[{"model":"m1"}]` {
			t.Errorf("learned %+v", learned)
		}
		if waiting, dead := left(h, "a"); waiting != 0 || dead != 0 {
			t.Errorf("%d messages wait and %d are dead, want none", waiting, dead)
		}
		if stats := node.Stats().CentralCloud; stats.LearningsApplied != 4 || stats.PolicyVersion != 3 || stats.LearningsReadAt.IsZero() {
			t.Errorf("stats %+v", stats)
		}
		shown, err := node.Send(t.Context(), "learnings", "show", nil)
		if want := `{"policy":{"version":3,"made_at":"0001-01-01T00:00:00Z","age_seconds":0.001,"rows":1},` +
			`"patterns":{"chain":{"steps":["classifier","coder"]}},"savings":{"estimated_savings":0.2,"settings":{"max_tokens":900}},"benchmarks":[{"model":"m1"}]}`; err != nil || string(shown) != want {
			t.Errorf("shown %s, %v\nwant %s", shown, err, want)
		}
		h.teach("a", `{"type":"pattern_discovery","version":7,"pattern_name":"chain","pattern_definition":null}`)
		if reply := flush(t, node, "learnings"); reply != `{"applied":1,"ignored":0,"deferred":0,"dead":0}` {
			t.Errorf("reply %s", reply)
		}
		if patterns := node.Learned().Patterns; len(patterns) != 0 {
			t.Errorf("patterns %v after the only one was withdrawn", patterns)
		}
		if len(learned.Patterns) != 1 {
			t.Error("what somebody holds of an earlier time has changed")
		}
	})
}

func TestVersionsThatAreNotAboveTheNodesOwnAreIgnored(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHub()
		node := hubNode(t, memory.New(), h)
		h.teach("a", routing(2, "second"))
		h.teach("a", routing(1, "first"))
		h.teach("a", routing(2, "second again"))
		if reply := flush(t, node, "learnings"); reply != `{"applied":1,"ignored":2,"deferred":0,"dead":0}` {
			t.Errorf("reply %s", reply)
		}
		if chosen(node) != "second" {
			t.Errorf("the policy chooses %s, want second", chosen(node))
		}
		h.teach("a", `{"type":"model_routing","routing_rules":{"rows":[{"task_type":"*","arms":[{"provider":"p","model":"by hand","weight":1}]}]}}`)
		flush(t, node, "learnings")
		if chosen(node) != "by hand" {
			t.Errorf("the policy chooses %s, want what has no version", chosen(node))
		}
		h.teach("a", routing(3, "third"))
		flush(t, node, "learnings")
		if waiting, _ := left(h, "a"); chosen(node) != "third" || waiting != 0 {
			t.Errorf("the policy chooses %s, want third; %d messages wait", chosen(node), waiting)
		}
	})
}

func TestLearningsOfUnknownTypesAreKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var log strings.Builder
		store, h := memory.New(), newHub()
		node := startNode(t, store, Config{Instance: "a", CentralCloud: CentralCloud{Queue: h}, Logger: textLog(&log)})
		h.teach("a", `{"type":"tarot","version":9,"cards":[1,2]}`)
		flush(t, node, "learnings")
		kept, err := store.Learnings(t.Context())
		if err != nil || len(kept) != 1 || kept[0].Type != "tarot" || kept[0].Version != 9 || !strings.Contains(string(kept[0].Document), `"cards":[1,2]`) {
			t.Errorf("kept %+v, %v", kept, err)
		}
		if waiting, dead := left(h, "a"); waiting != 0 || dead != 0 {
			t.Errorf("%d messages wait and %d are dead, want none", waiting, dead)
		}
		stopNode(t, node)
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "type=tarot") {
			t.Errorf("the log does not warn of a type that is not known:\n%s", log.String())
		}
	})
}

func TestMessagesThatCannotBeAppliedAreDeadLettersAfterFiveReads(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]string{
		"no object":            `7`,
		"no type":              `{"version":3}`,
		"rules without rows":   `{"type":"model_routing","version":9,"routing_rules":{}}`,
		"weight below zero":    `{"type":"model_routing","version":9,"routing_rules":{"rows":[{"arms":[{"model":"m","weight":-1}]}]}}`,
		"pattern without name": `{"type":"pattern_discovery","version":9,"pattern_definition":{}}`,
		"settings of no kind":  `{"type":"cost_optimization","version":9,"settings":[]}`,
		"no benchmarks":        `{"type":"performance_benchmark","version":9}`,
		"bad part of snapshot": `{"type":"snapshot","learnings":[` + routing(9, "never") + `,{"type":"performance_benchmark","version":9}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHub()
				node := hubNode(t, memory.New(), h)
				h.teach("a", poison)
				h.teach("a", routing(2, "sound"))
				time.Sleep(11 * time.Second)
				if waiting, dead := left(h, "a"); waiting != 1 || dead != 0 || chosen(node) != "sound" {
					t.Fatalf("%d messages wait, %d are dead, and the policy chooses %q; want the poison to wait and the other to be applied", waiting, dead, chosen(node))
				}
				time.Sleep(2 * time.Minute)
				if waiting, dead := left(h, "a"); waiting != 0 || dead != 1 {
					t.Fatalf("%d messages wait and %d are dead, want one dead", waiting, dead)
				}
				var letter centralcloud.DeadLetter
				corpse := h.messages(centralcloud.DeadDown)[0]
				decodeInto(t, corpse.Headers, &letter)
				if letter.From != "instance_learning_a" || letter.Reads != 5 || letter.Error == "" || string(corpse.Body) != poison {
					t.Errorf("dead letter %+v, %s", letter, corpse.Body)
				}
				if stats := node.Stats().CentralCloud; stats.LearningsDead != 1 || chosen(node) != "sound" {
					t.Errorf("stats %+v, the policy chooses %s", stats, chosen(node))
				}
			})
		})
	}
}

func TestRestartedNodeKnowsWhatItWasTaught(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, h := memory.New(), newHub()
		first := hubNode(t, store, h)
		h.teach("a", routing(5, "m5"))
		h.teach("a", `{"type":"pattern_discovery","version":4,"pattern_name":"chain","pattern_definition":1}`)
		flush(t, first, "learnings")
		stopNode(t, first)
		h.set(func() { h.down = true })
		second := hubNode(t, store, h)
		if chosen(second) != "m5" || string(second.Learned().Patterns["chain"]) != "1" {
			t.Errorf("learned %+v", second.Learned())
		}
		h.set(func() { h.down = false })
		time.Sleep(5 * time.Second)
		h.teach("a", routing(4, "m4"))
		flush(t, second, "learnings")
		if chosen(second) != "m5" {
			t.Errorf("the policy chooses %s, want the newest", chosen(second))
		}
	})
}

func TestReturningNodeTellsWhatItKnowsAndTakesASnapshotForItsBacklog(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, h := memory.New(), newHub()
		first := hubNode(t, store, h)
		h.teach("a", routing(5, "m5"))
		flush(t, first, "learnings")
		stopNode(t, first)

		for version := 6; version < 60; version++ {
			h.teach("a", routing(version, "late"))
		}
		time.Sleep(time.Hour)
		second := hubNode(t, store, h)
		hellos := h.hellos(t)
		hello := hellos[len(hellos)-1]
		if len(hellos) != 2 || hello.ID != "a" || hello.Boot != string(second.Boot()) || hello.Queue != "instance_learning_a" || hello.Versions["model_routing"] != 5 {
			t.Errorf("hellos %+v, want two, the last with version 5", hellos)
		}
		if waiting, _ := left(h, "a"); waiting != 0 || chosen(second) != "late" {
			t.Errorf("%d messages wait, and the policy chooses %s", waiting, chosen(second))
		}
		h.teach("a", `{"type":"snapshot","learnings":[`+routing(70, "m70")+`,
			{"type":"pattern_discovery","version":61,"pattern_name":"chain","pattern_definition":1},{"type":"tarot","version":1}]}`)
		h.teach("a", routing(69, "m69"))
		flush(t, second, "learnings")
		if chosen(second) != "m70" || len(second.Learned().Patterns) != 1 {
			t.Errorf("the policy chooses %s, want that of the snapshot", chosen(second))
		}
	})
}

func TestNodeComesBackToAHubThatWasAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHub()
		node := hubNode(t, memory.New(), h)
		h.teach("a", routing(5, "m5"))
		time.Sleep(11 * time.Second)
		h.set(func() { h.down = true })
		time.Sleep(time.Hour)
		if chosen(node) != "m5" {
			t.Errorf("the policy chooses %s while the hub is away", chosen(node))
		}
		h.set(func() {
			h.down = false
			delete(h.queues, centralcloud.DownQueue("a")) // as the hub does when a node has gone for long
		})
		time.Sleep(2 * time.Minute)
		hellos := h.hellos(t)
		if len(hellos) != 2 || hellos[1].Versions["model_routing"] != 5 {
			t.Fatalf("hellos %+v, want another one when the hub is back", hellos)
		}
		h.teach("a", routing(6, "m6"))
		time.Sleep(11 * time.Second)
		if chosen(node) != "m6" {
			t.Errorf("the policy chooses %s, want what came after", chosen(node))
		}
	})
}

// policyOf is one that the hub makes: a row for each of so many tasks.
func policyOf(version int64, tasks int, model string) *centralcloud.Policy {
	policy := &centralcloud.Policy{Version: version, MadeAt: time.Unix(version, 0).UTC()}
	for i := range tasks {
		row := centralcloud.PolicyRow{TaskType: fmt.Sprintf("task-%05d", i), Bucket: centralcloud.AnyBucket}
		for j := range 20 {
			row.Arms = append(row.Arms, centralcloud.PolicyArm{
				Arm: centralcloud.Arm{Provider: "p", Model: fmt.Sprintf("%s-%d", model, j)}, Weight: 0.05, Why: "one of many",
			})
		}
		policy.Rows = append(policy.Rows, row)
	}
	return policy
}

// parts are the messages that carry a policy.
func parts(t *testing.T, policy, before *centralcloud.Policy) []string {
	t.Helper()
	learnings, err := centralcloud.TeachPolicy(policy, before)
	if err != nil {
		t.Fatal(err)
	}
	drafts, err := centralcloud.EncodeLearnings(learnings...)
	if err != nil {
		t.Fatal(err)
	}
	bodies := make([]string, len(drafts))
	for i, draft := range drafts {
		bodies[i] = string(draft.Body)
	}
	return bodies
}

func TestPolicyInPartsIsInForceOnceItIsWhole(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, h := memory.New(), newHub()
		node := hubNode(t, store, h)
		h.teach("a", routing(2, "small"))
		messages := parts(t, policyOf(3, 2000, "m"), nil)
		if len(messages) < 3 {
			t.Fatalf("%d messages, want several", len(messages))
		}
		for i := len(messages) - 1; i > 0; i-- { // in another order than they were sent
			h.teach("a", messages[i])
			flush(t, node, "learnings")
		}
		if chosen(node) != "small" {
			t.Fatalf("the policy chooses %s although a part is missing", chosen(node))
		}
		h.teach("a", messages[0])
		h.teach("a", messages[1])
		flush(t, node, "learnings")
		if policy := node.Learned().Policy; policy.Version != 3 || len(policy.Rows) != 2000 || chosen(node) != "m-0" {
			t.Fatalf("version %d with %d rows chooses %s", policy.Version, len(policy.Rows), chosen(node))
		}
		stopNode(t, node)
		again := hubNode(t, store, h)
		if policy := again.Learned().Policy; policy == nil || policy.Version != 3 || len(policy.Rows) != 2000 {
			t.Errorf("after a restart the policy is %+v", policy)
		}
		if waiting, dead := left(h, "a"); waiting != 0 || dead != 0 {
			t.Errorf("%d messages wait and %d are dead, want none", waiting, dead)
		}
	})
}

func TestNodeThatMissedAVersionAsksForTheWhole(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHub()
		node := hubNode(t, memory.New(), h)
		first := policyOf(3, 100, "m")
		second, third := policyOf(4, 100, "m"), policyOf(5, 100, "m")
		second.Rows[7].Arms, third.Rows[7].Arms = second.Rows[7].Arms[:1], third.Rows[7].Arms[:1]
		third.Rows[8].Arms = third.Rows[8].Arms[:2]
		h.teach("a", parts(t, first, nil)[0])
		h.teach("a", parts(t, third, second)[0])
		flush(t, node, "learnings")
		hellos := h.hellos(t)
		if len(hellos) != 2 || hellos[1].Versions["model_routing"] != 3 || node.Learned().Policy.Version != 3 {
			t.Fatalf("hellos %+v, want a second one with version 3", hellos)
		}
		h.teach("a", parts(t, second, first)[0]) // that was late
		h.teach("a", `{"type":"snapshot","learnings":[`+parts(t, third, nil)[0]+`]}`)
		flush(t, node, "learnings")
		policy := node.Learned().Policy
		if policy.Version != 5 || len(policy.Rows[7].Arms) != 1 || len(policy.Rows[8].Arms) != 2 || len(policy.Rows[9].Arms) != 20 {
			t.Errorf("the policy is %+v", policy)
		}
		if hellos := h.hellos(t); len(hellos) != 2 {
			t.Errorf("%d hellos, want no more", len(hellos))
		}
	})
}

func TestLearningsThatTheStoreDoesNotKeepComeAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHub()
		c := startHubCluster(t, 2, h)
		h.teach("a", routing(5, "m5"))
		h.teach("a", `{"type":"performance_benchmark","version":5,"benchmarks":1}`)
		c.set(func() { c.links[0].fatal = "keep learnings" })
		time.Sleep(11 * time.Second)
		if waiting, dead := left(h, "a"); waiting != 2 || dead != 0 || chosen(c.nodes[0]) != "" {
			t.Fatalf("%d messages wait, %d are dead, and the policy chooses %q; nothing was kept", waiting, dead, chosen(c.nodes[0]))
		}
		time.Sleep(10 * time.Minute)
		c.set(func() { c.links[0].fatal = "" })
		c.resume(0)
		time.Sleep(2 * time.Minute)
		if waiting, dead := left(h, "a"); waiting != 0 || dead != 0 || chosen(c.nodes[0]) != "m5" {
			t.Errorf("%d messages wait, %d are dead, and the policy chooses %q", waiting, dead, chosen(c.nodes[0]))
		}
		h.teach("b", routing(5, "m5"))
		flush(t, c.nodes[1], "learnings")
		if chosen(c.nodes[1]) != "m5" {
			t.Error("what one node keeps is no news to the other any more")
		}
	})
}

func TestHubsActorsAreInTheTreeAndPausedQueuesDoNotHoldThemUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newHub()
		node := hubNode(t, memory.New(), h, asks)
		finish(t, start(t, node, asks))
		for _, queue := range node.queueNames() {
			if _, _, err := node.PauseQueue(t.Context(), queue); err != nil {
				t.Fatal(err)
			}
		}
		h.teach("a", routing(1, "m1"))
		time.Sleep(31 * time.Second)
		h.wantCounted(t, node)
		if chosen(node) != "m1" {
			t.Error("nothing was learnt while all queues are paused")
		}
		tree, err := node.Tree(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"sync", "learnings"} {
			if !strings.Contains(tree.String(), name) {
				t.Errorf("%s is not in the tree: %s", name, tree)
			}
		}
		page, err := node.Runs(t.Context(), workflow.Filter{})
		if err != nil || len(page.Runs) != 1 {
			t.Errorf("runs %+v, %v; want that of the user alone", page.Runs, err)
		}
	})
}
