package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var agentStories = []story{
	{name: "agents/registering again raises the epoch and moves the home", tell: registerAgain},
	{name: "agents/a home that lives keeps its agent", tell: livingHome},
	{name: "agents/one whose home has ended moves under the next epoch", tell: endedHome},
	{name: "agents/are listed by name with their waiting messages", tell: agentsListed},
	{name: "agents/one that was never registered is not found", tell: agentNotFound},
	{name: "inbox/messages arrive with the checkpoint, in order", tell: inboxOrder},
	{name: "inbox/a repeated message is dropped", tell: inboxDeduplicates},
	{name: "inbox/messages wait for an agent that is not there yet", tell: inboxBeforeAgent},
	{name: "inbox/a message is posted to a registered agent, once", tell: posted},
	{name: "inbox/an acknowledged message is done, once and for all", tell: acknowledges},
	{name: "inbox/an earlier home is fenced", tell: acknowledgeFenced},
}

// register attaches an agent, whoever is attached by its name.
func (f *fixture) register(name string, boot persistence.BootID) int64 {
	f.Helper()
	epoch, err := f.store.RegisterAgent(f.Context(), persistence.Agent{Name: name, Kind: persistence.AgentAttached, Boot: boot}, true)
	if err != nil {
		f.Fatalf("register %s: %v", name, err)
	}
	return epoch
}

func (f *fixture) agent(name string) persistence.Agent {
	f.Helper()
	agent, err := f.store.Agent(f.Context(), name)
	if err != nil {
		f.Fatalf("read agent %s: %v", name, err)
	}
	return agent
}

func (f *fixture) inbox(agent string, after int64, limit int) []persistence.InboxMessage {
	f.Helper()
	messages, err := f.store.Inbox(f.Context(), agent, after, limit)
	if err != nil {
		f.Fatalf("inbox of %s: %v", agent, err)
	}
	return messages
}

// send commits a checkpoint that sends messages.
func (f *fixture) send(messages ...workflow.Message) {
	f.Helper()
	w := checkpoint(f.started(f.join("sender")), "pay")
	w.Entry.Messages = messages
	f.land(w)
}

func message(agent, id string) workflow.Message {
	return workflow.Message{Agent: agent, ID: id, Source: "shop", Type: "order", Payload: []byte(`{"id":"` + id + `"}`)}
}

func registerAgain(f *fixture) {
	first, second := f.join("a"), f.join("b")
	before := f.now()
	if epoch := f.register("desk", first); epoch != 1 {
		f.Errorf("first epoch %d, want 1", epoch)
	}
	if epoch := f.register("desk", second); epoch != 2 {
		f.Errorf("second epoch %d, want 2", epoch)
	}
	agent := f.agent("desk")
	if agent.Name != "desk" || agent.Kind != persistence.AgentAttached || agent.Boot != second || agent.Epoch != 2 {
		f.Errorf("agent %+v, want desk at b in epoch 2", agent)
	}
	if agent.RegisteredAt.Before(before.Add(-time.Millisecond)) || agent.RegisteredAt.After(f.now().Add(time.Millisecond)) {
		f.Errorf("registered at %s, want now", agent.RegisteredAt)
	}
}

func livingHome(f *fixture) {
	first, second := f.join("a"), f.join("b")
	for _, kinds := range [][2]persistence.AgentKind{
		{persistence.AgentBuiltIn, persistence.AgentBuiltIn},
		{persistence.AgentBuiltIn, persistence.AgentAttached},
		{persistence.AgentAttached, persistence.AgentBuiltIn},
		{persistence.AgentAttached, persistence.AgentAttached},
	} {
		name := fmt.Sprintf("%s-%s", kinds[0], kinds[1])
		for want := range int64(2) { // its own home may register again
			epoch, err := f.store.RegisterAgent(f.Context(), persistence.Agent{Name: name, Kind: kinds[0], Boot: first}, false)
			if err != nil || epoch != want+1 {
				f.Fatalf("register %s: epoch %d, %v, want %d", name, epoch, err, want+1)
			}
		}
		bothAttached := kinds[0] == persistence.AgentAttached && kinds[1] == persistence.AgentAttached
		_, err := f.store.RegisterAgent(f.Context(), persistence.Agent{Name: name, Kind: kinds[1], Boot: second}, !bothAttached)
		if !errors.Is(err, persistence.ErrAgentTaken) {
			f.Errorf("register %s elsewhere: %v, want %v", name, err, persistence.ErrAgentTaken)
		}
		if agent := f.agent(name); agent.Boot != first || agent.Epoch != 2 || agent.Kind != kinds[0] || !agent.Alive {
			f.Errorf("agent %+v, want it at its living home in epoch 2", agent)
		}
	}
}

func endedHome(f *fixture) {
	first, second := f.join("a"), f.join("b")
	builtIn := persistence.Agent{Name: "desk", Kind: persistence.AgentBuiltIn}
	for i, boot := range []persistence.BootID{first, second} {
		builtIn.Boot = boot
		epoch, err := f.store.RegisterAgent(f.Context(), builtIn, false)
		if err != nil || epoch != int64(i+1) {
			f.Fatalf("register at %s: epoch %d, %v, want %d", boot, epoch, err, i+1)
		}
		if agent := f.agent("desk"); agent.Boot != boot || !agent.Alive || agent.Instance == "" {
			f.Errorf("agent %+v, want it alive at %s", agent, boot)
		}
		f.leave(boot)
		if agent := f.agent("desk"); agent.Alive || agent.Boot != boot {
			f.Errorf("agent %+v, want its home ended", agent)
		}
	}
}

func agentsListed(f *fixture) {
	boot := f.join("a")
	for _, name := range []string{"b-desk", "a-desk", "c-desk"} {
		f.register(name, boot)
	}
	f.send(message("c-desk", "1"), message("c-desk", "2"), message("nobody", "1"))
	agents, err := f.store.Agents(f.Context())
	if err != nil {
		f.Fatalf("agents: %v", err)
	}
	var got []string
	for _, agent := range agents {
		got = append(got, fmt.Sprintf("%s %d", agent.Name, agent.Waiting))
	}
	if fmt.Sprint(got) != "[a-desk 0 b-desk 0 c-desk 2]" {
		f.Errorf("agents %v", got)
	}
}

func agentNotFound(f *fixture) {
	if _, err := f.store.Agent(f.Context(), "desk"); !errors.Is(err, workflow.ErrAgentNotFound) {
		f.Errorf("agent: %v, want %v", err, workflow.ErrAgentNotFound)
	}
	if messages := f.inbox("desk", 0, 10); len(messages) != 0 {
		f.Errorf("inbox %+v, want none", messages)
	}
}

func inboxOrder(f *fixture) {
	f.register("desk", f.join("a"))
	before := f.now()
	f.send(message("desk", "z"), message("desk", "a"))
	f.send(message("desk", "m"))
	all := f.inbox("desk", 0, 10)
	var got []string
	for _, m := range all {
		got = append(got, m.MessageID)
	}
	if !slices.Equal(got, []string{"z", "a", "m"}) {
		f.Fatalf("messages in order %q, want z, a, m", got)
	}
	first := all[0]
	if first.Agent != "desk" || first.Source != "shop" || first.Type != "order" || string(first.Payload) != `{"id":"z"}` {
		f.Errorf("message %+v, want it as it was sent", first)
	}
	if first.ArrivedAt.Before(before.Add(-time.Millisecond)) || first.ArrivedAt.After(f.now().Add(time.Millisecond)) {
		f.Errorf("arrived at %s, want now", first.ArrivedAt)
	}
	if rest := f.inbox("desk", first.Seq, 10); len(rest) != 2 || rest[0].MessageID != "a" {
		f.Errorf("after the first: %+v, want the other two", rest)
	}
	if some := f.inbox("desk", 0, 1); len(some) != 1 || some[0].MessageID != "z" {
		f.Errorf("at most one: %+v, want the first", some)
	}
}

func inboxDeduplicates(f *fixture) {
	f.register("desk", f.join("a"))
	f.send(message("desk", "1"))
	again := message("desk", "1")
	again.Payload = []byte(`{}`)
	f.send(again, message("bench", "1"))
	if messages := f.inbox("desk", 0, 10); len(messages) != 1 || string(messages[0].Payload) != `{"id":"1"}` {
		f.Errorf("messages %+v, want the first alone", messages)
	}
	if messages := f.inbox("bench", 0, 10); len(messages) != 1 {
		f.Errorf("messages %+v of another agent, want one", messages)
	}
}

func inboxBeforeAgent(f *fixture) {
	f.send(message("desk", "1"))
	f.register("desk", f.join("a"))
	f.register("desk", f.join("b"))
	if agent := f.agent("desk"); agent.Waiting != 1 {
		f.Errorf("%d messages wait, want 1", agent.Waiting)
	}
}

func posted(f *fixture) {
	f.refuse(persistence.Post{Message: message("desk", "1")}, workflow.ErrAgentNotFound)
	f.register("desk", f.join("a"))
	again := message("desk", "1")
	again.Payload = []byte(`{}`)
	f.land(persistence.Post{Message: message("desk", "1")})
	f.land(persistence.Post{Message: again})
	f.send(again)
	if messages := f.inbox("desk", 0, 10); len(messages) != 1 || string(messages[0].Payload) != `{"id":"1"}` {
		f.Errorf("messages %+v, want the one that was posted first", messages)
	}
}

func acknowledges(f *fixture) {
	epoch := f.register("desk", f.join("a"))
	f.send(message("desk", "1"), message("desk", "2"))
	for range 2 { // again without effect
		f.land(persistence.Acknowledge{Agent: "desk", Epoch: epoch, MessageID: "1"})
	}
	f.land(persistence.Acknowledge{Agent: "desk", Epoch: epoch, MessageID: "never sent"})
	if messages := f.inbox("desk", 0, 10); len(messages) != 1 || messages[0].MessageID != "2" {
		f.Errorf("messages %+v, want only the second", messages)
	}
	f.send(message("desk", "1"))
	if agent := f.agent("desk"); agent.Waiting != 1 {
		f.Errorf("%d messages wait after a done one was repeated, want 1", agent.Waiting)
	}
}

func acknowledgeFenced(f *fixture) {
	earlier := f.register("desk", f.join("a"))
	f.send(message("desk", "1"))
	later := f.register("desk", f.join("b"))
	f.refuse(persistence.Acknowledge{Agent: "desk", Epoch: earlier, MessageID: "1"}, persistence.ErrFenced)
	f.refuse(persistence.Acknowledge{Agent: "nobody", Epoch: 1, MessageID: "1"}, persistence.ErrFenced)
	if agent := f.agent("desk"); agent.Waiting != 1 {
		f.Errorf("%d messages wait, want 1", agent.Waiting)
	}
	f.land(persistence.Acknowledge{Agent: "desk", Epoch: later, MessageID: "1"})
	if agent := f.agent("desk"); agent.Waiting != 0 {
		f.Errorf("%d messages wait, want none", agent.Waiting)
	}
}
