package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

func send(t *testing.T, node *Node, pid, messageType, payload string) (string, error) {
	t.Helper()
	answer, err := node.Send(t.Context(), pid, messageType, json.RawMessage(payload))
	return string(answer), err
}

func TestSendFindsAnActorOnWhicheverNodeItLives(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 3, holding)
		register(t, c.nodes[1], &desk{})
		run := start(t, c.nodes[0], holding)
		synctest.Wait()
		pid, chosen := runPID(run.ID()), workflow.NewRunID().String()
		tests := []struct{ pid, messageType, payload, want string }{
			{pid, "ping", "", `{"pid":"` + pid + `","node":"a"}`},
			{pid, "query", "", `"state":"running"`},
			{"a/" + pid, "ping", "", `"node":"a"`},
			{"b/" + pid, "ping", "", `"node":"a"`}, // b says where it is
			{"c/" + pid, "ping", "", `"node":"a"`},
			{string(c.nodes[1].Boot()) + "/" + pid, "ping", "", `"node":"a"`},
			{"host-of-b:7947/dispatcher", "ping", "", `"node":"b"`},
			{"b/dispatcher", "ping", "", `"node":"b"`},
			{"dispatcher", "ping", "", `"node":"c"`},
			{"b/registry", "members", "", `"instance_id":"a"`},
			{"agent/desk", "ping", "", `{"pid":"agent/desk","node":"b"}`},
			{"a/agent/desk", "ping", "", `"node":"b"`},
			{"agent/desk", "message", `{"message_id":"m0","type":"note"}`, `"message_id":"m0"`},
			{"a/dispatcher", "start", `{"workflow":"holding","input":{},"id":"` + chosen + `"}`, `"id":"` + chosen + `"`},
			{runPID(workflow.RunID{}), "query", "", ""},
			{pid, "cancel", `{"reason":"enough"}`, `"reason":"enough"`},
			{pid, "query", "", `"state":"cancelled"`},
		}
		for _, test := range tests {
			answer, err := send(t, c.nodes[2], test.pid, test.messageType, test.payload)
			if test.want != "" && (err != nil || !strings.Contains(answer, test.want)) {
				t.Errorf("%s %s: %s, %v, want %s", test.pid, test.messageType, answer, err, test.want)
			}
		}
		synctest.Wait()
		if hold.ended.Load() != 1 || inMemory(c.nodes[0], run.ID()) {
			t.Error("the cancelled step goes on")
		}
		id, err := workflow.ParseRunID(chosen)
		if err != nil || !inMemory(c.nodes[0], id) {
			t.Errorf("the run that was to start on a is not there: %v", err)
		}
	})
}

func TestErrorsKeepTheirKindBetweenNodes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		c := startPeers(t, 2, counting)
		run := start(t, c.nodes[1], counting)
		finish(t, run)
		ended := "b/" + runPID(run.ID())
		tests := []struct {
			pid, messageType, payload string
			want                      func(error) bool
			says                      string
		}{
			{ended, "ping", "", is(workflow.ErrActorNotFound), "is completed and not in memory"},
			{ended, "cancel", "", is(workflow.ErrWrongState), ""},
			{ended, "greet", "", isUnknownMessage, "it takes ping, query, cancel"},
			{ended, "cancel", `{"reason":7}`, isInput, `"payload" cannot be read`},
			{"b/" + runPID(workflow.NewRunID()), "ping", "", is(workflow.ErrRunNotFound), ""},
			{"b/agent/stranger", "ping", "", is(workflow.ErrActorNotFound), "agent stranger"},
			{"b/journal", "ping", "", is(workflow.ErrActorNotFound), "expected run/<id>"},
			{"b/sync", "flush", "", is(workflow.ErrActorNotFound), "this node has no hub"},
			{"b/supervisor", "drain", "", is(workflow.ErrActorNotFound), "expected run/<id>"},
			{"b/dispatcher", "start", `{"workflow":"unheard of"}`, is(workflow.ErrUnknownWorkflow), ""},
			{"z/dispatcher", "ping", "", is(workflow.ErrActorNotFound), "no node is known as z"},
		}
		for _, test := range tests {
			answer, err := send(t, c.nodes[0], test.pid, test.messageType, test.payload)
			if err == nil || !test.want(err) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q %s: %s, %v, want one saying %q", test.pid, test.messageType, answer, err, test.says)
			}
		}
	})
}

func TestEveryErrorOfAnEngineTravels(t *testing.T) {
	t.Parallel()
	letter := &messages.Letter{Target: "dispatcher", Type: "start"}
	run := workflow.NewRunID()
	for _, known := range reasons {
		sent := fmt.Errorf("start: %w", known.err)
		got := decodeError(letter, encodeError(sent))
		want := known.err
		if known.reason == messages.ErrorDetail_REASON_NO_REPLY {
			want = workflow.ErrNoReply
		}
		if !errors.Is(got, want) || got.Error() != sent.Error() {
			t.Errorf("%v arrived as %v", sent, got)
		}
	}
	var (
		limit    *workflow.LimitError
		conflict *workflow.KeyConflictError
		input    *workflow.InputError
	)
	if got := decodeError(letter, encodeError(&workflow.LimitError{What: "input", Size: 3, Limit: 2})); !errors.As(got, &limit) || limit.Size != 3 {
		t.Errorf("a limit arrived as %v", got)
	}
	if got := decodeError(letter, encodeError(&workflow.KeyConflictError{Workflow: "w", Run: run})); !errors.As(got, &conflict) || conflict.Run != run {
		t.Errorf("a conflict arrived as %v", got)
	}
	if got := decodeError(letter, encodeError(workflow.Invalid("lines", "is empty"))); !errors.As(got, &input) || input.Field != "lines" {
		t.Errorf("a bad input arrived as %v", got)
	}
	if got := decodeError(letter, encodeError(errors.New("odd"))); got.Error() != "odd" || errors.Unwrap(got) != nil {
		t.Errorf("another error arrived as %v", got)
	}
}

func TestLettersToANodeThatCannotBeReached(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 2, holding)
		register(t, c.nodes[0], &desk{})
		run := start(t, c.nodes[0], holding)
		synctest.Wait()
		c.sever(0)
		for _, pid := range []string{runPID(run.ID()), "agent/desk", "a/dispatcher"} {
			began := time.Now()
			if answer, err := send(t, c.nodes[1], pid, "ping", ""); !errors.Is(err, workflow.ErrUnreachable) {
				t.Errorf("ping of %s: %s, %v", pid, answer, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("that took %s to find out", took)
			}
		}
		// The rows are there, whoever can be reached.
		if answer, err := send(t, c.nodes[1], "agent/desk", "message", `{"message_id":"m0"}`); err != nil {
			t.Errorf("message: %s, %v", answer, err)
		}
		if answer, err := send(t, c.nodes[1], runPID(run.ID()), "cancel", ""); err != nil || !strings.Contains(answer, "cancelled") {
			t.Errorf("cancel: %s, %v", answer, err)
		}
	})
}

func TestNodeThatJoinsAnewIsReachedUnderItsNewBoot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		register(t, c.nodes[0], &desk{})
		before := c.nodes[0].Boot()
		c.pause(0)
		for c.declared() == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		c.resume(0)
		time.Sleep(2 * time.Second)
		for _, pid := range []string{"agent/desk", "a/dispatcher", string(c.nodes[0].Boot()) + "/registry"} {
			if answer, err := send(t, c.nodes[1], pid, "ping", ""); err != nil || !strings.Contains(answer, `"node":"a"`) {
				t.Errorf("ping of %s: %s, %v", pid, answer, err)
			}
		}
		if answer, err := send(t, c.nodes[1], string(before)+"/registry", "ping", ""); !errors.Is(err, workflow.ErrActorNotFound) {
			t.Errorf("ping of the boot that has ended: %s, %v", answer, err)
		}
	})
}

func TestLetterThatIsNotAnsweredInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		ctx, cancel := context.WithTimeout(t.Context(), latency)
		defer cancel()
		answer, err := c.nodes[0].Send(ctx, "b/dispatcher", "ping", nil)
		if !errors.Is(err, workflow.ErrNoReply) {
			t.Errorf("got %s, %v", answer, err)
		}
		time.Sleep(time.Second)
	})
}

// Nodes that name each other in a circle get a letter each time, but never
// send one on, and whoever wrote it gives up.
func TestLetterDoesNotGoRoundInCircles(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 3, holding)
		run := start(t, c.nodes[0], holding)
		synctest.Wait()
		c.misdirect(func(persistence.BootID) *Node { return c.nodes[1] })
		before := c.carried()
		answer, err := send(t, c.nodes[2], runPID(run.ID()), "ping", "")
		if !errors.Is(err, workflow.ErrUnreachable) || !strings.Contains(err.Error(), "each named another") {
			t.Errorf("got %s, %v", answer, err)
		}
		if n := c.carried() - before; n != maxTries {
			t.Errorf("it took %d letters", n)
		}
		c.misdirect(nil)
		if answer, err := send(t, c.nodes[2], runPID(run.ID()), "ping", ""); err != nil {
			t.Errorf("got %s, %v", answer, err)
		}
	})
}

func TestRepeatedLetterIsActedOnOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startPeers(t, 1, flow)
		node, d := c.nodes[0], &desk{}
		register(t, node, d)
		for _, letter := range []*messages.Letter{
			{Id: workflow.NewRunID().String(), Target: "agent/desk", Type: "message", PayloadJson: []byte(`{"type":"note"}`)},
			{Id: workflow.NewRunID().String(), Target: "dispatcher", Type: "start", PayloadJson: []byte(`{"workflow":"flow","input":{}}`)},
		} {
			for range 3 {
				if reply := node.Answer(t.Context(), letter); reply.GetReplyJson() == nil {
					t.Errorf("%s answered %v", letter.GetTarget(), reply)
				}
			}
		}
		synctest.Wait()
		if got := d.list(); len(got) != 1 {
			t.Errorf("the agent got %v", got)
		}
		if page, err := node.Runs(t.Context(), workflow.Filter{}); err != nil || len(page.Runs) != 1 {
			t.Errorf("there are %d runs, %v, want one", len(page.Runs), err)
		}
	})
}

func TestPIDIsAnAddressAndAName(t *testing.T) {
	t.Parallel()
	for pid, want := range map[string][2]string{
		"dispatcher":          {"", "dispatcher"},
		"run/17":              {"", "run/17"},
		"agent/desk":          {"", "agent/desk"},
		"b/dispatcher":        {"b", "dispatcher"},
		"b/run/17":            {"b", "run/17"},
		"h:7947/agent/desk":   {"h:7947", "agent/desk"},
		"zone/b/run/17":       {"zone/b", "run/17"},
		"rerun/17":            {"rerun", "17"},
		"":                    {"", ""},
		"run/":                {"", "run/"},
		"elsewhere/17/":       {"elsewhere/17", ""},
		"agent/run/17":        {"agent", "run/17"},
		"h:7947#boot/run/x-y": {"h:7947#boot", "run/x-y"},
	} {
		if address, name := splitPID(pid); address != want[0] || name != want[1] {
			t.Errorf("%q is %q and %q, want %q", pid, address, name, want)
		}
	}
}
