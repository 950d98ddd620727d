package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// mailing is a workflow that sends as many messages as its input says.
func mailing() *workflow.Workflow[count, count] {
	return workflow.New("mailing", workflow.Do("mail", func(ctx context.Context, s *count) error {
		for i := range s.N {
			workflow.Send(ctx, workflow.Message{Agent: "desk", ID: fmt.Sprintf("m%d", i), Source: "test", Type: "note", Payload: []byte(`{}`)})
		}
		return nil
	}))
}

func mail(t *testing.T, node *Node, w *workflow.Workflow[count, count], n int) {
	t.Helper()
	run, err := w.Start(t.Context(), node, count{N: n})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, run)
}

// post sends one message to the agent desk, without a run.
func post(t *testing.T, node *Node, id string) {
	t.Helper()
	if _, err := node.Send(t.Context(), "agent/desk", "message", fmt.Appendf(nil, `{"message_id":%q,"type":"note"}`, id)); err != nil {
		t.Fatal(err)
	}
}

// desk is an agent that notes what it gets.
type desk struct {
	mu  sync.Mutex
	got []string
}

func (d *desk) note(m workflow.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, m.ID)
}

func (d *desk) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

// register makes d the agent desk of a node.
func register(t *testing.T, node *Node, d *desk) {
	t.Helper()
	if err := node.RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
		d.note(m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func wantMessages(t *testing.T, d *desk, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := d.list(); !slices.Equal(got, want) {
		t.Errorf("the agent got %v, want %v", got, want)
	}
}

func wantWaiting(t *testing.T, node *Node, want int) {
	t.Helper()
	synctest.Wait()
	agents, err := node.Agents(t.Context())
	if err != nil || len(agents) != 1 || agents[0].Waiting != want {
		t.Errorf("agents are %+v, %v, want %d messages that wait", agents, err, want)
	}
}

func TestAgentGetsMessagesInOrderAfterTheirCommit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		d, mails := &desk{}, mailing()
		node := startNode(t, store, Config{}, mails)
		if err := node.RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
			d.note(m)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		store.beforeCommit(func(batch []persistence.Write) error {
			if has(batch, finishes("mail")) {
				<-block
			}
			return nil
		})
		const n = 3*inboxAtOnce + 5
		run, err := mails.Start(t.Context(), node, count{N: n})
		if err != nil {
			t.Fatal(err)
		}
		wantMessages(t, d)
		close(block)
		finish(t, run)
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("m%d", i))
		}
		wantMessages(t, d, want...)
		wantWaiting(t, node, 0)
		mail(t, node, mails, n) // the same ids again
		wantMessages(t, d, want...)
	})
}

func TestAgentThatDoesNotTakeAMessageGetsItAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		refuse func()
		err    error
	}{
		{"error", func() {}, errors.New("not now")},
		{"panic", func() { panic("out of cheese") }, nil},
		{"end of its goroutine", runtime.Goexit, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				d, mails, tries := &desk{}, mailing(), 0
				node := startNode(t, memory.New(), Config{}, mails)
				if err := node.RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
					if m.ID == "m1" {
						if tries++; tries < 3 {
							test.refuse()
							return test.err
						}
					}
					d.note(m)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				mail(t, node, mails, 3)
				wantMessages(t, d, "m0")
				time.Sleep(time.Minute)
				wantMessages(t, d, "m0", "m1", "m2")
				wantWaiting(t, node, 0)
			})
		})
	}
}

func TestMessageThatAnAgentNeverTakesComesAgainAfterARestart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, d, mails := memory.New(), &desk{}, mailing()
		first := startNode(t, store, Config{}, mails)
		if err := first.RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
			if m.ID == "m0" {
				return errors.New("never")
			}
			d.note(m)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		mail(t, first, mails, 2)
		time.Sleep(time.Hour)
		wantMessages(t, d, "m1")
		wantWaiting(t, first, 1)
		stopNode(t, first)

		second := startNode(t, store, Config{}, mails)
		if err := second.RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
			d.note(m)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		wantMessages(t, d, "m1", "m0")
		wantWaiting(t, second, 0)
	})
}

func TestAgentWhoseActorPanicsGoesOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		d, mails := &desk{}, mailing()
		node := startNode(t, memory.New(), Config{}, mails)
		if err := node.RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
			d.note(m)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		close(closed)
		node.system.Root.Send(node.pid(agentPID("desk")), pingActor{closed})
		synctest.Wait()
		mail(t, node, mails, 2) // nobody hears that they arrive
		time.Sleep(time.Minute)
		wantMessages(t, d, "m0", "m1")
	})
}

// collect notes the deliveries of an attached agent; closed tells their end.
func collect(deliveries <-chan workflow.Delivery) (d *desk, closed chan struct{}) {
	d, closed = &desk{}, make(chan struct{})
	go func() {
		defer close(closed)
		for delivery := range deliveries {
			d.note(delivery.Message)
		}
	}()
	return d, closed
}

func TestAttachedAgentGetsWhatItDidNotAcknowledgeAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		mails := mailing()
		node := startNode(t, memory.New(), Config{}, mails)
		ctx, detach := context.WithCancel(t.Context())
		deliveries, err := node.AttachAgent(ctx, "desk")
		if err != nil {
			t.Fatal(err)
		}
		first, closed := collect(deliveries)
		mail(t, node, mails, 3)
		wantMessages(t, first, "m0", "m1", "m2")
		wantWaiting(t, node, 3)
		if err := node.AcknowledgeMessage(t.Context(), "desk", "m1"); err != nil {
			t.Fatal(err)
		}
		detach()
		<-closed
		synctest.Wait()
		if agents, err := node.Agents(t.Context()); err != nil || agents[0].Live {
			t.Errorf("agents are %+v, %v, want it gone", agents, err)
		}
		post(t, node, "m3")

		deliveries, err = node.AttachAgent(t.Context(), "desk")
		if err != nil {
			t.Fatal(err)
		}
		second, _ := collect(deliveries)
		wantMessages(t, second, "m0", "m2", "m3")
		if agents, err := node.Agents(t.Context()); err != nil || !agents[0].Live {
			t.Errorf("agents are %+v, %v, want it back", agents, err)
		}
	})
}

func TestSecondAttachEndsTheFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		attach := func() (*desk, chan struct{}) {
			deliveries, err := node.AttachAgent(t.Context(), "desk")
			if err != nil {
				t.Fatal(err)
			}
			return collect(deliveries)
		}
		first, closed := attach()
		second, _ := attach() // at once, before the actor has begun
		<-closed
		post(t, node, "m0")
		wantMessages(t, first)
		wantMessages(t, second, "m0")
		third, _ := attach()
		wantMessages(t, third, "m0")
		post(t, node, "m1")
		wantMessages(t, second, "m0")
		wantMessages(t, third, "m0", "m1")
		if agents, err := node.Agents(t.Context()); err != nil || !agents[0].Live {
			t.Errorf("agents are %+v, %v", agents, err)
		}
	})
}

func TestManyAttachAtOnceAndOneStays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		var mu sync.Mutex
		var desks []*desk
		var ends []chan struct{}
		var attaching sync.WaitGroup
		for range 20 {
			attaching.Go(func() {
				deliveries, err := node.AttachAgent(t.Context(), "desk")
				if err != nil {
					t.Error(err)
					return
				}
				d, closed := collect(deliveries)
				mu.Lock()
				defer mu.Unlock()
				desks, ends = append(desks, d), append(ends, closed)
			})
		}
		attaching.Wait()
		synctest.Wait()
		open := 0
		for _, closed := range ends {
			select {
			case <-closed:
			default:
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d of %d attached streams are open", open, len(ends))
		}
		post(t, node, "m0")
		synctest.Wait()
		got := 0
		for _, d := range desks {
			got += len(d.list())
		}
		if got != 1 {
			t.Errorf("the message was delivered %d times", got)
		}
	})
}

// After a crash of the agent's actor the newest stream counts, not the first.
func TestAgentWhoseActorPanicsKeepsToItsNewestCode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		for range 2 {
			deliveries, err := node.AttachAgent(t.Context(), "desk")
			if err != nil {
				t.Fatal(err)
			}
			_, closed := collect(deliveries)
			time.Sleep(time.Second)
			dead := make(chan struct{})
			close(dead)
			node.system.Root.Send(node.pid(agentPID("desk")), pingActor{dead})
			<-closed // who is attached learns of it, and attaches again
		}
		deliveries, err := node.AttachAgent(t.Context(), "desk") // while the actor is away
		if err != nil {
			t.Fatal(err)
		}
		last, _ := collect(deliveries)
		post(t, node, "m0")
		time.Sleep(time.Minute)
		wantMessages(t, last, "m0")
	})
}

func TestBuiltInAgentCannotBeReplaced(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		take := func(context.Context, workflow.Message) error { return nil }
		if err := node.RegisterAgent(t.Context(), "desk", take); err != nil {
			t.Fatal(err)
		}
		if _, err := node.AttachAgent(t.Context(), "desk"); !errors.Is(err, workflow.ErrWrongState) {
			t.Errorf("attach answered %v", err)
		}
		if err := node.RegisterAgent(t.Context(), "desk", take); !errors.Is(err, workflow.ErrWrongState) {
			t.Errorf("register answered %v", err)
		}
		var invalid *workflow.InputError
		if _, err := node.AttachAgent(t.Context(), "no/name"); !errors.As(err, &invalid) || invalid.Field != "agent" {
			t.Errorf("a bad name answered %v", err)
		}
		if err := node.AcknowledgeMessage(t.Context(), "stranger", "m0"); !errors.Is(err, workflow.ErrAgentNotFound) {
			t.Errorf("a stranger's acknowledgement answered %v", err)
		}
		for name, want := range map[string]bool{"desk": true, "stranger": false} {
			if exists, err := node.AgentExists(t.Context(), name); err != nil || exists != want {
				t.Errorf("agent %s exists: %t, %v", name, exists, err)
			}
		}
	})
}
