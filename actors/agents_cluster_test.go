package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

func TestMessageReachesAnAgentOnAnotherNodeAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		mails, d := mailing(), &desk{}
		c := startPeers(t, 3, mails)
		register(t, c.nodes[1], d)
		time.Sleep(10 * time.Minute)
		post(t, c.nodes[0], "posted")
		time.Sleep(soon)
		wantMessages(t, d, "posted")
		mail(t, c.nodes[2], mails, 2)
		time.Sleep(soon + hintEvery)
		wantMessages(t, d, "posted", "m0", "m1")
		mail(t, c.nodes[0], mails, 2) // the same ids again
		time.Sleep(time.Minute)
		wantMessages(t, d, "posted", "m0", "m1")
		wantWaiting(t, c.nodes[2], 0)
		if agents, err := c.nodes[2].Agents(t.Context()); err != nil || agents[0].Home != "b" || !agents[0].Live {
			t.Errorf("agents are %+v, %v, want it live on b", agents, err)
		}
	})
}

// lives returns on which of some nodes the agent desk takes messages.
func lives(nodes []*Node) (homes []string) {
	for _, node := range nodes {
		if _, here := node.agents.epoch("desk"); here {
			homes = append(homes, node.Instance())
		}
	}
	return homes
}

func TestAgentMovesWhenItsHomeDies(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprintf("hints arrive: %t", told), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				c := startPeers(t, 3)
				stuck, d := newGate(t, "stuck"), &desk{}
				if err := c.nodes[0].RegisterAgent(t.Context(), "desk", func(ctx context.Context, _ workflow.Message) error {
					select {
					case <-ctx.Done():
					case <-stuck.opened:
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				register(t, c.nodes[1], d)
				register(t, c.nodes[2], d)
				if homes := lives(c.nodes); !slices.Equal(homes, []string{"a"}) {
					t.Fatalf("the agent lives on %v", homes)
				}
				post(t, c.nodes[2], "m0")
				time.Sleep(time.Second)
				if !told {
					c.loseHints(true)
				}
				c.kill(0)
				c.sever(0)
				time.Sleep(2 * time.Second)
				if !told {
					time.Sleep(sharedCadence.quiet)
				}
				wantMessages(t, d, "m0")
				if homes := lives(c.nodes[1:]); len(homes) != 1 {
					t.Errorf("the agent lives on %v", homes)
				}
				wantWaiting(t, c.nodes[1], 0)
				if agent, err := c.runs.Agent(t.Context(), "desk"); err != nil || agent.Epoch != 2 {
					t.Errorf("the agent is %+v, %v, want it in epoch 2", agent, err)
				}
				// The dead one comes back: it stands by, and its late word counts nothing.
				c.resume(0)
				c.mend()
				stuck.open()
				time.Sleep(time.Minute)
				if homes := lives(c.nodes); len(homes) != 1 || homes[0] == "a" {
					t.Errorf("the agent lives on %v after its former home came back", homes)
				}
				post(t, c.nodes[0], "m1")
				time.Sleep(time.Second + sharedCadence.quiet)
				wantMessages(t, d, "m0", "m1")
			})
		})
	}
}

func TestAgentMovesWhenItsHomeLeaves(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		first, second := &desk{}, &desk{}
		c := startPeers(t, 2)
		register(t, c.nodes[0], first)
		register(t, c.nodes[1], second)
		post(t, c.nodes[1], "m0")
		time.Sleep(soon)
		stopNode(t, c.nodes[0])
		time.Sleep(soon)
		post(t, c.nodes[1], "m1")
		wantMessages(t, first, "m0")
		wantMessages(t, second, "m1")
	})
}

// Each message is taken by one node, and never two take one at the same time,
// whatever dies, pauses and comes back.
func TestNeverTwoNodesTakeTheMessagesOfOneAgent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 3)
		var (
			mu     sync.Mutex
			taken  = map[string]int{}
			inside atomic.Int32
		)
		for _, node := range c.nodes {
			if err := node.RegisterAgent(t.Context(), "desk", func(ctx context.Context, m workflow.Message) error {
				if inside.Add(1) > 1 {
					t.Error("two nodes take messages at once")
				}
				defer inside.Add(-1)
				select {
				case <-time.After(300 * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				taken[m.ID]++
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		c.set(func() {
			for _, l := range c.links {
				l.slow = 200 * time.Millisecond // a node that comes back is not to go on meanwhile
			}
		})
		const rounds, each = 4, 40 // 12 s of work a round
		for round := range rounds {
			home := slices.IndexFunc(c.nodes, func(n *Node) bool { return len(lives([]*Node{n})) == 1 })
			other := (home + 1) % len(c.nodes)
			for i := range each {
				post(t, c.nodes[other], fmt.Sprintf("%d-%d", round, i))
			}
			time.Sleep(time.Second)
			c.sever(home)
			c.pause(home) // with most of them in its memory
			time.Sleep(9*time.Second + time.Duration(round)*time.Second/8)
			c.resume(home) // while its successor is at work
			time.Sleep(5 * time.Second)
			c.mend()
			time.Sleep(15 * time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		again := 0
		for _, times := range taken {
			again += times - 1
		}
		if len(taken) != rounds*each || again > rounds*10 {
			t.Errorf("%d of %d messages were taken, %d of them again", len(taken), rounds*each, again)
		}
		if homes := lives(c.nodes); len(homes) != 1 {
			t.Errorf("the agent lives on %v", homes)
		}
		wantWaiting(t, c.nodes[0], 0)
	})
}

func TestAgentTakesNothingWhileTheLeaseIsInDoubt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		d, c := &desk{}, startPeers(t, 2)
		if err := c.nodes[0].RegisterAgent(t.Context(), "desk", func(_ context.Context, m workflow.Message) error {
			d.note(m)
			time.Sleep(3 * time.Second)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		c.awaitRenewal("a")
		c.set(func() { c.links[0].deaf = true })
		post(t, c.nodes[1], "m0")
		post(t, c.nodes[1], "m1")
		time.Sleep(3500 * time.Millisecond)
		wantMessages(t, d, "m0")
		c.set(func() { c.links[0].deaf = false })
		time.Sleep(400 * time.Millisecond)
		wantMessages(t, d, "m0", "m1")
		if c.declared() != 0 {
			t.Error("the node was declared dead: the test has missed the doubt")
		}
	})
}

func TestAgentThatIsSaidToHaveMovedAndHasNotGoesOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		d, c := &desk{}, startPeers(t, 2)
		moved := &messages.Hint{Event: &messages.Hint_AgentMoved{AgentMoved: &messages.AgentMoved{Agent: "desk", Epoch: 9}}}
		register(t, c.nodes[0], d)
		c.nodes[0].Hear(c.nodes[1].Boot(), moved) // before its actor has begun
		post(t, c.nodes[1], "m0")
		time.Sleep(soon)
		wantMessages(t, d)
		time.Sleep(sharedCadence.quiet)
		wantMessages(t, d, "m0")
		c.nodes[0].Hear(c.nodes[1].Boot(), moved)
		post(t, c.nodes[1], "m1")
		time.Sleep(soon)
		wantMessages(t, d, "m0")
		time.Sleep(sharedCadence.quiet)
		wantMessages(t, d, "m0", "m1")
		wantWaiting(t, c.nodes[0], 0)
	})
}

func TestAttachingOnAnotherNodeEndsTheFirstStream(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprintf("hints arrive: %t", told), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				c := startPeers(t, 2)
				attach := func(node *Node) (*desk, chan struct{}) {
					deliveries, err := node.AttachAgent(t.Context(), "desk")
					if err != nil {
						t.Fatal(err)
					}
					return collect(deliveries)
				}
				first, ended := attach(c.nodes[0])
				post(t, c.nodes[0], "m0")
				wantMessages(t, first, "m0")
				if !told {
					c.loseHints(true)
				}
				second, _ := attach(c.nodes[1])
				if told {
					time.Sleep(soon)
				}
				post(t, c.nodes[0], "m1") // its former home finds out by itself
				time.Sleep(time.Second)
				<-ended
				if !told {
					time.Sleep(sharedCadence.quiet)
				}
				wantMessages(t, first, "m0")
				wantMessages(t, second, "m0", "m1")
				if err := c.nodes[0].AcknowledgeMessage(t.Context(), "desk", "m0"); !errors.Is(err, workflow.ErrAgentNotFound) {
					t.Errorf("acknowledging on the former home answered %v", err)
				}
				if err := c.nodes[1].AcknowledgeMessage(t.Context(), "desk", "m0"); err != nil {
					t.Error(err)
				}
				wantWaiting(t, c.nodes[0], 1)
				third, _ := attach(c.nodes[0]) // and back again
				wantMessages(t, third, "m1")
			})
		})
	}
}

func TestNobodyAttachesByTheNameOfAFunctionElsewhere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startPeers(t, 2)
		register(t, c.nodes[0], &desk{})
		if _, err := c.nodes[1].AttachAgent(t.Context(), "desk"); !errors.Is(err, workflow.ErrWrongState) {
			t.Errorf("attach answered %v", err)
		}
		synctest.Wait()
		if homes := lives(c.nodes); !slices.Equal(homes, []string{"a"}) {
			t.Errorf("the agent lives on %v", homes)
		}
	})
}
