package gossip_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/cluster/gossip"
)

// rarely has members look for each other once an hour, but for the first times.
var rarely = gossip.Timing{Rejoin: time.Hour}

func TestMembersFindEachOtherWithoutSeeds(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	first, second := nodes.config(t, "a"), nodes.config(t, "b")
	first.Timing, second.Timing = rarely, rarely
	begun := time.Now()
	nodes.cluster(t, first, second)
	t.Logf("two members saw each other after %s", time.Since(begun))
}

func TestMembersThatStartAtOnceFindEachOther(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	var members []*gossip.Gossip
	var begun time.Time
	for _, boot := range []string{"a", "b", "c"} {
		asked, once := make(chan struct{}), sync.Once{}
		cfg := nodes.config(t, boot)
		cfg.Timing = rarely
		cfg.Peers = func(ctx context.Context) ([]string, error) {
			once.Do(func() { close(asked) })
			return nodes.peers(ctx)
		}
		g, err := gossip.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		begun = time.Now()
		<-asked // and nobody was there yet
		members = append(members, g)
	}
	for _, g := range members {
		nodes.add(g.Address())
	}
	for _, g := range members {
		await(t, g, "all members", size(3))
	}
	t.Logf("three members saw each other after %s", time.Since(begun))
}

func TestSearchGoesOnWhenPeersAreNotKnown(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	first := nodes.open(t, nodes.config(t, "a"))
	cfg := nodes.config(t, "b")
	heard, known := captured(&cfg), make(chan struct{})
	cfg.Peers = func(ctx context.Context) ([]string, error) {
		select {
		case <-known:
			return nodes.peers(ctx)
		default:
			return nil, errors.New("no database")
		}
	}
	nodes.open(t, cfg)
	heard.await(t, "WARN", "asked for again", "no database")
	close(known)
	await(t, first, "the second member", size(2))
}

func TestSeedsAreJoinedByName(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	first := nodes.open(t, nodes.config(t, "a"))
	_, port, err := net.SplitHostPort(first.Address())
	if err != nil {
		t.Fatal(err)
	}
	cfg := nodes.config(t, "b")
	cfg.Peers = nil
	cfg.Seeds = []string{"127.0.0.1:1", "localhost:" + port} // nobody is at the first
	second := nodes.open(t, cfg)
	await(t, first, "the second member", size(2))
	await(t, second, "the first member", size(2))
}

func TestCrashIsSeenAsDeath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		crashed []string
	}{
		{"of one member of three", []string{"c"}},
		{"of two members of three", []string{"b", "c"}}, // nobody confirms it
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nodes := &registry{}
			var configs []gossip.Config
			for _, boot := range []string{"a", "b", "c"} {
				cfg := nodes.config(t, boot)
				cfg.Timing = gossip.Timing{}
				configs = append(configs, cfg)
			}
			members := nodes.cluster(t, configs...)
			survivors := members[:len(members)-len(test.crashed)]
			var diaries []*diary
			for _, g := range survivors {
				diaries = append(diaries, keep(t, g))
			}
			begun := time.Now()
			for _, g := range members[len(survivors):] {
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for i, g := range survivors {
				await(t, g, "a view of the survivors", size(len(survivors)))
				t.Logf("%s saw it after %s", configs[i].Boot, time.Since(begun))
				dead := map[string]bool{}
				for len(dead) < len(test.crashed) {
					change := diaries[i].next(t)
					if change.Kind == gossip.Left || change.Member.Leaving {
						t.Errorf("%s: %+v, want that one of %s is dead and not leaving", change.Kind, change.Member, test.crashed)
					}
					// On a busy machine a survivor may be taken for dead, too, until it says that it lives.
					if change.Kind == gossip.Dead && slices.Contains(test.crashed, change.Member.Boot) {
						dead[change.Member.Boot] = true
					}
				}
			}
		})
	}
}

func TestLeaveIsSeenAsLeft(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	members := nodes.cluster(t, nodes.config(t, "a"), nodes.config(t, "b"), nodes.config(t, "c"))
	diaries := []*diary{keep(t, members[0]), keep(t, members[1])}
	begun := time.Now()
	if err := members[2].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("leaving took %s", time.Since(begun))
	for _, d := range diaries {
		seen := d.until(t, gossip.Left, "c")
		if last := seen[len(seen)-1].Member; !last.Leaving {
			t.Errorf("the member that left is %+v, want it leaving", last)
		}
		for _, change := range seen {
			if change.Kind == gossip.Dead {
				t.Errorf("a member is dead: %+v", change.Member)
			}
		}
	}
	t.Logf("both saw it after %s", time.Since(begun))
}

func TestMemberThatLeftIsOfNoMoreUse(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	g := nodes.open(t, nodes.config(t, "a"))
	for range 2 {
		if err := g.Leave(t.Context()); err != nil {
			t.Errorf("leaving: %v", err)
		}
		if err := g.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	if err := g.Update(t.Context(), gossip.Meta{}); !errors.Is(err, gossip.ErrClosed) {
		t.Errorf("updating: %v, want %v", err, gossip.ErrClosed)
	}
	if g.View().Len() != 1 || g.Address() == "" {
		t.Errorf("its last view is gone: %+v", g.View().Members())
	}
}

func TestLeaveThatHasNoTimeClosesAllTheSame(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	mute, witness := nodes.config(t, "a"), nodes.config(t, "b")
	witness.Timing = quick
	members := nodes.cluster(t, mute, witness)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := members[0].Leave(ctx); err == nil {
		t.Error("it left without telling anybody")
	}
	if err := members[0].Update(t.Context(), gossip.Meta{}); !errors.Is(err, gossip.ErrClosed) {
		t.Errorf("updating: %v, want %v", err, gossip.ErrClosed)
	}
	await(t, members[1], "a view without a", size(1))
}

func TestUpdateReachesAll(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	members := nodes.cluster(t, nodes.config(t, "a"), nodes.config(t, "b"), nodes.config(t, "c"))
	meta := gossip.Meta{Role: "node", Actors: "127.0.0.1:7947", API: "127.0.0.1:4000", Version: "v1.2.3"}
	begun := time.Now()
	if err := members[0].Update(t.Context(), meta); err != nil {
		t.Fatal(err)
	}
	for _, g := range members {
		view := await(t, g, "the new metadata", func(view gossip.View) bool {
			m, found := view.Member("a")
			return found && m.Meta == meta
		})
		if m, _ := view.Member("a"); m.Instance != "instance-a" || m.Address != members[0].Address() || m.Leaving {
			t.Errorf("the member is %+v", m)
		}
	}
	t.Logf("all had it after %s", time.Since(begun))
}

func TestWatchEndsWithItsContextItsLoopAndItsMember(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	g := nodes.open(t, nodes.config(t, "a"))
	for range g.Watch(t.Context()) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range g.Watch(ctx) {
		cancel()
	}
	for range g.Watch(t.Context()) {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}
