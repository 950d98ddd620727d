package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// TestMain finds goroutines that outlast the members of all tests.
func TestMain(m *testing.M) {
	// Of a connection that leads nowhere, which protoactor made for itself and did
	// not close as it stopped. One that leads somewhere has other goroutines, too.
	nowhere := goleak.IgnoreAnyFunction("google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run")
	code := m.Run()
	leak := goleak.Find(nowhere)
	for begun := time.Now(); leak != nil && time.Since(begun) < patience; { // a probe of memberlist's ends by itself, after seconds
		leak = goleak.Find(nowhere)
	}
	if code == 0 && leak != nil {
		fmt.Fprintln(os.Stderr, leak)
		code = 1
	}
	os.Exit(code)
}

// calm takes nobody for dead who only gets no time on a busy machine.
var calm = gossip.Timing{Probe: 10 * time.Second, Answer: 5 * time.Second, Exchange: time.Second, Rejoin: 100 * time.Millisecond}

// registry is what the database knows of living members.
type registry struct {
	timing gossip.Timing // of the members that enter

	mu        sync.Mutex
	addresses map[string]string // of the gossip, by boot
}

func newRegistry() *registry { return &registry{timing: calm, addresses: map[string]string{}} }

func (r *registry) list(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, address := range r.addresses {
		list = append(list, address)
	}
	return list, nil
}

func (r *registry) put(boot, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses[boot] = address
}

func (r *registry) drop(boot string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.addresses, boot)
}

// member is a membership and what it has heard.
type member struct {
	*Membership
	heard    chan remoting.Delivery
	suspects chan Suspicion
}

// enter makes a member that answers messages with who it is, and puts it into
// the registry.
func (r *registry) enter(t *testing.T, boot string) *member {
	t.Helper()
	m := &member{heard: make(chan remoting.Delivery, 100), suspects: make(chan Suspicion, 100)}
	var err error
	m.Membership, err = Join(t.Context(), Config{
		Boot: boot, Instance: "node of " + boot, Meta: gossip.Meta{Role: "node"},
		Gossip: Endpoint{Bind: "127.0.0.1:0"}, Actors: Endpoint{Bind: "127.0.0.1:0"},
		Registered: r.list,
		Deliver: func(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
			m.heard <- d
			return remoting.Reply{Type: "answer", Payload: []byte(boot)}, nil
		},
		Suspect: func(s Suspicion) { m.suspects <- s },
		Logger:  slog.New(slog.DiscardHandler),
		Timing:  r.timing,
		Limits:  remoting.Limits{Timeout: patience, Dial: patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	r.put(boot, m.GossipAddress())
	return m
}

// until waits for what becomes true by itself.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !happened() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("in %s it did not happen that %s", patience, what)
		}
	}
}

// trio is three members that reach each other.
func (r *registry) trio(t *testing.T) [3]*member {
	t.Helper()
	var all [3]*member
	for i := range all {
		all[i] = r.enter(t, fmt.Sprintf("boot-%d", i))
	}
	for _, m := range all {
		until(t, "all three reach each other", func() bool { return m.View().Len() == 3 && m.Complete() })
	}
	return all
}

func TestMemberThatIsNotSeenIsCalledAtItsAddress(t *testing.T) {
	t.Parallel()
	here, there := newRegistry().enter(t, "boot-0"), newRegistry().enter(t, "boot-1")
	ping := remoting.Message{Type: "ping", Target: "run/1"}
	if _, err := here.Call(t.Context(), "boot-1", ping); !errors.Is(err, remoting.ErrUnreachable) {
		t.Errorf("by its boot: got %v, want unreachable", err)
	}
	reply, err := here.CallAt(t.Context(), remoting.Peer{Address: there.ActorsAddress(), Boot: "boot-1"}, ping)
	if err != nil || string(reply.Payload) != "boot-1" {
		t.Errorf("at its address: got %s, %v", reply.Payload, err)
	}
	reply, err = here.CallAt(t.Context(), remoting.Peer{Address: there.ActorsAddress(), Boot: "boot-2"}, ping)
	if !errors.Is(err, remoting.ErrStaleIncarnation) && !errors.Is(err, remoting.ErrUnreachable) {
		t.Errorf("another boot at its address: got %s, %v", reply.Payload, err)
	}
}

func TestMembersFindAndReachEachOtherWithoutSeeds(t *testing.T) {
	t.Parallel()
	all := newRegistry().trio(t)
	reply, err := all[0].Call(t.Context(), "boot-2", remoting.Message{Type: "ping", Target: "run/1", Payload: []byte("?")})
	if err != nil {
		t.Fatal(err)
	}
	if string(reply.Payload) != "boot-2" {
		t.Errorf("boot-2 answered %q", reply.Payload)
	}
	if d := <-all[2].heard; d.From.Boot != "boot-0" || d.Type != "ping" || d.Target != "run/1" || string(d.Payload) != "?" {
		t.Errorf("boot-2 heard %+v", d)
	}
	all[1].TellAll(remoting.Message{Type: "hint"})
	all[1].Tell("boot-0", remoting.Message{Type: "another"})
	if d := <-all[2].heard; d.Type != "hint" || d.From.Boot != "boot-1" {
		t.Errorf("boot-2 heard %+v", d)
	}
	heard := map[string]bool{(<-all[0].heard).Type: true, (<-all[0].heard).Type: true}
	if !heard["hint"] || !heard["another"] {
		t.Errorf("boot-0 heard %v", heard)
	}
}

func TestCallOfAnUnknownBootIsUnreachable(t *testing.T) {
	t.Parallel()
	m := newRegistry().enter(t, "boot-0")
	if _, err := m.Call(t.Context(), "boot-9", remoting.Message{Type: "ping"}); !errors.Is(err, remoting.ErrUnreachable) {
		t.Errorf("the call answered %v, want %v", err, remoting.ErrUnreachable)
	}
	m.Tell("boot-9", remoting.Message{Type: "hint"})         // is lost
	until(t, "a member alone reaches everybody", m.Complete) // once it knows who is registered
}

func TestMemberThatDiesIsSuspectedByAllAndLeavesTheView(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	r.timing = gossip.Timing{Rejoin: calm.Rejoin}
	all := r.trio(t)
	if err := all[2].Close(); err != nil {
		t.Fatal(err)
	}
	for _, m := range all[:2] {
		if m.Complete() && m.View().Len() == 3 {
			until(t, "a member misses the stream to the dead one", func() bool { return !m.Complete() })
		}
		seen := map[Sign]bool{}
		for !seen[ByRefusal] || !seen[ByGossip] {
			s := <-m.suspects
			if s.Boot != "boot-2" {
				if s.By != ByGossip { // as it may be on a busy machine, until it says that it lives
					t.Fatalf("a living member is suspected: %+v", s)
				}
				continue
			}
			if s.Witness != (s.By == ByRefusal || s.By == ByOther) {
				t.Errorf("a witness that is none, or none that is one: %+v", s)
			}
			seen[s.By] = true
		}
	}
	r.drop("boot-2")
	for _, m := range all[:2] {
		until(t, "the rest is complete", func() bool { return m.View().Len() == 2 && m.Complete() })
	}
}

func TestMemberThatLeavesIsNotHeldDeadByGossip(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	all := r.trio(t)
	r.drop("boot-1")
	if err := all[1].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the others see it go", func() bool { return all[0].View().Len() == 2 })
	until(t, "the rest is complete", all[0].Complete)
	for {
		select {
		case s := <-all[0].suspects:
			if s.By == ByGossip {
				t.Errorf("who left is held dead: %+v", s)
			}
			continue
		default:
		}
		break
	}
}

// Whoever is registered and not seen may have something to say that no stream
// brings.
func TestMemberIsIncompleteWhileARegisteredOneIsMissing(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	m := r.enter(t, "boot-0")
	until(t, "it is complete alone", m.Complete)
	r.put("boot-1", "127.0.0.1:1")
	until(t, "it misses the one that is registered", func() bool { return !m.Complete() })
	r.drop("boot-1")
	until(t, "it is complete again", m.Complete)
}
