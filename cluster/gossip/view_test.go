package gossip

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/memberlist"
)

// story applies notices to a roster of self and says what a watcher is told who
// looks before and after them.
func story(t *testing.T, before, after []notice) []string {
	t.Helper()
	r, gone := newRoster("self"), map[string]Change{}
	apply := func(notices []notice) View {
		for _, n := range notices {
			change, err := r.take(n)
			if err != nil {
				t.Logf("%s: %v", n.boot, err)
			}
			if change != nil {
				gone[n.boot] = *change
			}
		}
		return r.view()
	}
	first := apply(before)
	clear(gone)
	var told []string
	for _, change := range changes(first, apply(after), gone) {
		told = append(told, fmt.Sprintf("%s %s %s", change.Member.Boot, change.Kind, change.Member.Role))
	}
	return told
}

func says(boot, role string) notice {
	return notice{boot: boot, meta: fmt.Appendf(nil, `{"v":1,"role":%q}`, role)}
}

func garbage(boot string) notice { return notice{boot: boot, meta: []byte("?")} }

func leaving(boot string) notice {
	return notice{boot: boot, meta: []byte(`{"v":1,"role":"node","leaving":true}`)}
}

func gone(n notice) notice {
	n.gone = true
	return n
}

func TestChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after []notice
		want          []string
	}{
		{name: "nothing", before: []notice{says("b", "x")}},
		{name: "the first", after: []notice{says("b", "x")}, want: []string{"b joined x"}},
		{
			name:   "all kinds, by boot",
			before: []notice{says("b", "x"), says("d", "x"), says("c", "x"), says("e", "x")},
			after:  []notice{gone(says("e", "x")), says("d", "y"), gone(leaving("c")), says("a", "x"), says("f", "x")},
			want:   []string{"a joined x", "c left node", "d updated y", "e dead x", "f joined x"},
		},
		{name: "the same again", before: []notice{says("b", "x")}, after: []notice{says("b", "x")}},
		{name: "announced and gone", before: []notice{says("b", "x")}, after: []notice{leaving("b"), gone(leaving("b"))}, want: []string{"b left node"}},
		{name: "gone with the announcement", before: []notice{says("b", "x")}, after: []notice{gone(leaving("b"))}, want: []string{"b left node"}},
		{name: "dead with metadata that cannot be read", before: []notice{says("b", "x")}, after: []notice{gone(garbage("b"))}, want: []string{"b dead x"}},
		{name: "came and went", after: []notice{says("b", "x"), gone(says("b", "x"))}},
		{name: "went and came", before: []notice{says("b", "x")}, after: []notice{gone(says("b", "x")), says("b", "x")}},
		{name: "went, came and went", before: []notice{says("b", "x")}, after: []notice{gone(says("b", "x")), says("b", "y"), gone(leaving("b"))}, want: []string{"b left node"}},
		{name: "self goes", before: []notice{says("self", "x")}, after: []notice{gone(leaving("self"))}},
		{name: "a stranger comes", after: []notice{garbage("b")}},
		{name: "a stranger goes", before: []notice{garbage("b")}, after: []notice{gone(garbage("b"))}},
		{name: "a stranger becomes a member", before: []notice{garbage("b")}, after: []notice{says("b", "x")}, want: []string{"b joined x"}},
		{name: "a member says garbage", before: []notice{says("b", "x")}, after: []notice{garbage("b")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if told := story(t, test.before, test.after); !slices.Equal(told, test.want) {
				t.Errorf("told %q, want %q", told, test.want)
			}
		})
	}
}

func TestViewKnowsWhereSomebodyIs(t *testing.T) {
	t.Parallel()
	r := newRoster("a")
	for _, n := range []notice{
		{boot: "b", address: "10.0.0.2:1", meta: []byte(`{"v":1}`)},
		{boot: "a", address: "10.0.0.1:1", meta: []byte(`{"v":1}`)},
		{boot: "c", address: "10.0.0.3:1", meta: []byte("garbage")},
	} {
		_, _ = r.take(n)
	}
	view := r.view()
	for address, want := range map[string]bool{"10.0.0.1:1": true, "10.0.0.2:1": true, "10.0.0.3:1": true, "10.0.0.3:2": false} {
		if view.Occupied(address) != want {
			t.Errorf("%s occupied is %t, want %t", address, !want, want)
		}
	}
	if m, found := view.Member("b"); !found || m.Address != "10.0.0.2:1" {
		t.Errorf("b is %+v, %t", m, found)
	}
	if _, found := view.Member("c"); found || view.Len() != 2 {
		t.Errorf("c is a member: %+v", view.Members())
	}
	view.Members()[0].Boot = "changed"
	if view.Members()[0].Boot != "a" {
		t.Error("a view was changed")
	}
	if later := r.view(); later.Version() <= view.Version() {
		t.Errorf("version %d follows %d", later.Version(), view.Version())
	}
}

// Neither does a watcher that looks at nothing hold up memberlist's calls, nor
// do they hold up each other; and what is true in the end arrives.
func TestFloodReachesASlowWatcherAsFewViews(t *testing.T) {
	t.Parallel()
	const members, updates = 50, 400
	g := &Gossip{log: slog.New(slog.DiscardHandler), inbox: newInbox(), roster: newRoster("self"), board: newBoard()}
	var following, watching, flooding sync.WaitGroup
	following.Go(func() { g.follow(t.Context()) })
	t.Cleanup(following.Wait)

	begun, flooded := make(chan struct{}), make(chan struct{})
	g.inbox.NotifyJoin(node("member-0", "begun"))
	var looks int
	final := View{}
	watching.Go(func() {
		for view := range g.Watch(t.Context()) {
			if looks++; looks == 1 {
				close(begun)
				<-flooded // slow
			}
			if m, _ := view.Member("last"); m.Role == "last" {
				final = view
				return
			}
		}
	})
	<-begun
	for m := range members {
		flooding.Go(func() {
			name := fmt.Sprintf("member-%d", m)
			for u := range updates {
				g.inbox.NotifyUpdate(node(name, fmt.Sprint(u)))
			}
			if m%2 == 1 {
				g.inbox.NotifyLeave(node(name, "gone"))
			}
		})
	}
	flooding.Wait()
	g.inbox.NotifyJoin(node("last", "last"))
	close(flooded)
	watching.Wait()

	if looks > 4 {
		t.Errorf("%d updates came as %d views, want them coalesced", members*updates, looks)
	}
	for m := range members {
		got, found := final.Member(fmt.Sprintf("member-%d", m))
		if m%2 == 1 && found || m%2 == 0 && got.Role != fmt.Sprint(updates-1) {
			t.Errorf("member %d is %+v, %t", m, got, found)
		}
	}
	if final.Len() != members/2+1 {
		t.Errorf("%d members, want %d", final.Len(), members/2+1)
	}
}

func node(name, role string) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: []byte{127, 0, 0, 1}, Meta: fmt.Appendf(nil, `{"v":1,"role":%q}`, role)}
}

func TestMemberlistsLinesHaveTheirLevels(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Print("[DEBUG] memberlist: Stream connection from=127.0.0.1:1")
	log.Print("[INFO] memberlist: Suspect b has failed, no acks received")
	log.Print("[WARN] memberlist: Refuting a dead message")
	log.Print("[ERR] memberlist: Failed to receive")
	log.Print("no level\n")
	for _, want := range []string{
		`level=DEBUG msg="Stream connection from=127.0.0.1:1"`,
		`level=INFO msg="Suspect b has failed, no acks received"`,
		`level=WARN msg="Refuting a dead message"`,
		`level=ERROR msg="Failed to receive"`,
		`level=INFO msg="no level"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
}
