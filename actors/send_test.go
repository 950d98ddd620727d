package actors

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestSendReachesTheActorsOfANode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, memory.New(), Config{Instance: "here"}, holding)
		if _, err := node.AttachAgent(t.Context(), "desk"); err != nil {
			t.Fatal(err)
		}
		run := start(t, node, holding)
		synctest.Wait()
		pid, chosen := runPID(run.ID()), workflow.NewRunID().String()
		tests := []struct {
			pid, messageType, payload string
			want                      string // in the answer
		}{
			{pid, "ping", "", `{"pid":"` + pid + `","node":"here"}`},
			{node.system.Address() + "/" + pid, "ping", "", `"node":"here"`},
			{pid, "query", "", `"state":"running"`},
			{"agent/desk", "ping", "", `{"pid":"agent/desk","node":"here"}`},
			{"agent/desk", "message", `{"message_id":"m0","type":"note","payload":{"n":1}}`, `"message_id":"m0"`},
			{"agent/desk", "message", "", `"agent":"desk"`},
			{"dispatcher", "ping", "", `{"pid":"dispatcher","node":"here"}`},
			{"here/" + pid, "ping", "", `"node":"here"`},
			{"here/dispatcher", "ping", "", `{"pid":"dispatcher","node":"here"}`},
			{"dispatcher", "sweep", "", `{"sweep_started":true}`},
			{"dispatcher", "start", `{"workflow":"holding","input":{},"id":"` + chosen + `"}`, `{"id":"` + chosen + `","attached":false}`},
			{"dispatcher", "start", `{"workflow":"holding","input":{},"id":"` + chosen + `"}`, `"attached":true`},
			{"dispatcher", "start", `{"workflow":"holding","input":{}}`, `"attached":false`},
			{"registry", "ping", "", `{"pid":"registry","node":"here"}`},
			{"registry", "members", "", `"instance_id":"here"`},
			{pid, "cancel", `{"reason":"no longer needed"}`, `"reason":"no longer needed"`},
			{pid, "query", "", `"state":"cancelled"`},
		}
		for _, test := range tests {
			answer, err := node.Send(t.Context(), test.pid, test.messageType, json.RawMessage(test.payload))
			if err != nil || !strings.Contains(string(answer), test.want) {
				t.Errorf("%s %s: %s, %v, want %s", test.pid, test.messageType, answer, err, test.want)
			}
		}
		if inbox, err := node.store.Inbox(t.Context(), "desk", 0, 10); err != nil || len(inbox) != 2 || string(inbox[0].Payload) != `{"n":1}` {
			t.Errorf("inbox is %+v, %v", inbox, err)
		}
	})
}

func TestSendThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		node := startNode(t, memory.New(), Config{}, counting)
		if _, err := node.AttachAgent(t.Context(), "desk"); err != nil {
			t.Fatal(err)
		}
		run := start(t, node, counting)
		finish(t, run)
		synctest.Wait()
		ended, nobody := runPID(run.ID()), runPID(workflow.NewRunID())
		tests := []struct {
			pid, messageType, payload string
			want                      func(error) bool
			says                      string
		}{
			{ended, "ping", "", is(workflow.ErrActorNotFound), "is completed and not in memory"},
			{ended, "cancel", "", is(workflow.ErrWrongState), ""},
			{nobody, "ping", "", is(workflow.ErrRunNotFound), ""},
			{nobody, "query", "", is(workflow.ErrRunNotFound), ""},
			{nobody, "cancel", "", is(workflow.ErrRunNotFound), ""},
			{"agent/stranger", "ping", "", is(workflow.ErrActorNotFound), "agent stranger is not here"},
			{"agent/stranger", "message", "", is(workflow.ErrActorNotFound), "never registered"},
			{"journal", "ping", "", is(workflow.ErrActorNotFound), "expected run/<id>, agent/<name>, dispatcher, registry, sync or learnings"},
			{"", "ping", "", is(workflow.ErrActorNotFound), ""},
			{"run/", "ping", "", is(workflow.ErrActorNotFound), ""},
			{"elsewhere/" + ended, "ping", "", is(workflow.ErrActorNotFound), ""},
			{"sync", "ping", "", is(workflow.ErrActorNotFound), ""},
			{"supervisor", "drain", "", is(workflow.ErrActorNotFound), "expected run/<id>"},
			{"elsewhere/dispatcher", "ping", "", is(workflow.ErrActorNotFound), "no node is known as elsewhere"},
			{"registry", "greet", "", isUnknownMessage, "it takes ping, members"},
			{"dispatcher", "start", `{"workflow":"unheard of"}`, is(workflow.ErrUnknownWorkflow), ""},
			{"dispatcher", "start", `{"id":"17"}`, isInput, ""},
			{"run/17", "ping", "", isInput, `"17" is not a run id`},
			{ended, "greet", "", isUnknownMessage, "it takes ping, query, cancel"},
			{"agent/desk", "greet", "", isUnknownMessage, "it takes ping, message"},
			{"dispatcher", "greet", "", isUnknownMessage, "it takes ping, sweep, start"},
			{ended, "cancel", `{"reason":7}`, isInput, `"payload" cannot be read`},
			{"agent/desk", "message", `[`, isInput, `"payload" cannot be read`},
		}
		for _, test := range tests {
			answer, err := node.Send(t.Context(), test.pid, test.messageType, json.RawMessage(test.payload))
			if err == nil || !test.want(err) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q %s: %s, %v, want one saying %q", test.pid, test.messageType, answer, err, test.says)
			}
		}
	})
}
