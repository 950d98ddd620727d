package gossip_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"singularity/cluster/gossip"
)

// deadline is how long a test waits for what must happen.
const deadline = time.Minute

// calm is for tests in which nobody dies: news are quick, but whoever gets no
// time on a busy machine is not taken for dead.
var calm = gossip.Timing{
	Probe:    10 * time.Second,
	Answer:   5 * time.Second,
	Gossip:   20 * time.Millisecond,
	Exchange: time.Second,
	Patience: deadline,
	Rejoin:   200 * time.Millisecond,
}

// quick is for tests that wait for somebody's death.
var quick = gossip.Timing{
	Probe:    200 * time.Millisecond,
	Answer:   100 * time.Millisecond,
	Gossip:   20 * time.Millisecond,
	Patience: time.Second,
	Rejoin:   200 * time.Millisecond,
}

// TestMain finds goroutines that outlast the members of all tests.
func TestMain(m *testing.M) {
	code := m.Run()
	leak := goleak.Find()
	for begun := time.Now(); leak != nil && time.Since(begun) < deadline; { // a probe of memberlist's ends by itself, after seconds
		leak = goleak.Find()
	}
	if code == 0 && leak != nil {
		fmt.Fprintln(os.Stderr, leak)
		code = 1
	}
	os.Exit(code)
}

// registry is where the members of a test find each other's addresses.
type registry struct {
	mu        sync.Mutex
	addresses []string
}

func (r *registry) peers(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.addresses), nil
}

func (r *registry) add(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses = append(r.addresses, address)
}

// config is what most members of tests have in common.
func (r *registry) config(t *testing.T, boot string) gossip.Config {
	t.Helper()
	return gossip.Config{
		Boot:     boot,
		Instance: "instance-" + boot,
		Bind:     "127.0.0.1:0",
		Peers:    r.peers,
		Timing:   calm,
		Logger:   slog.New(slog.DiscardHandler),
	}
}

// open makes a member, and tells the others of it.
func (r *registry) open(t *testing.T, cfg gossip.Config) *gossip.Gossip {
	t.Helper()
	g, err := gossip.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	r.add(g.Address())
	return g
}

// cluster makes members that all see each other.
func (r *registry) cluster(t *testing.T, configs ...gossip.Config) []*gossip.Gossip {
	t.Helper()
	var members []*gossip.Gossip
	for _, cfg := range configs {
		members = append(members, r.open(t, cfg))
	}
	for _, g := range members {
		await(t, g, "all members", size(len(members)))
	}
	return members
}

// await waits for a view.
func await(t *testing.T, g *gossip.Gossip, what string, wanted func(gossip.View) bool) gossip.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for view := range g.Watch(ctx) {
		if wanted(view) {
			return view
		}
	}
	t.Fatalf("%s never came; the last view is %+v", what, g.View().Members())
	return gossip.View{}
}

func size(n int) func(gossip.View) bool {
	return func(view gossip.View) bool { return view.Len() == n }
}

// diary has the changes that a member saw, in order.
type diary struct{ changes chan gossip.Change }

// keep writes down what changes from now on.
func keep(t *testing.T, g *gossip.Gossip) *diary {
	t.Helper()
	d := &diary{make(chan gossip.Change, 10_000)}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	t.Cleanup(func() { cancel(); writer.Wait() })
	begun := make(chan struct{})
	writer.Go(func() {
		defer close(d.changes)
		first := true
		for _, changes := range g.Watch(ctx) {
			if first { // these are who is there already
				first = false
				close(begun)
				continue
			}
			for _, change := range changes {
				d.changes <- change
			}
		}
	})
	<-begun
	return d
}

// next waits for a change.
func (d *diary) next(t *testing.T) gossip.Change {
	t.Helper()
	select {
	case change, open := <-d.changes:
		if !open {
			t.Fatal("nothing changes any more")
		}
		return change
	case <-time.After(deadline):
		t.Fatal("nothing changed")
	}
	return gossip.Change{}
}

// until returns the changes up to the next of a kind for a boot.
func (d *diary) until(t *testing.T, kind gossip.Kind, boot string) []gossip.Change {
	t.Helper()
	var seen []gossip.Change
	t.Logf("waiting until %s %s", boot, kind)
	for {
		change := d.next(t)
		seen = append(seen, change)
		if change.Kind == kind && change.Member.Boot == boot {
			return seen
		}
	}
}

// journal is a [slog.Handler] whose lines can be waited for.
type journal struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced with each line
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, record slog.Record) error {
	var line strings.Builder
	fmt.Fprintf(&line, "%s %s", record.Level, record.Message)
	record.Attrs(func(attr slog.Attr) bool {
		fmt.Fprintf(&line, " %s", attr)
		return true
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line.String())
	close(j.more)
	j.more = make(chan struct{})
	return nil
}

// await waits for a line that has all the words.
func (j *journal) await(t *testing.T, words ...string) {
	t.Helper()
	timeout := time.After(deadline)
	for {
		j.mu.Lock()
		lines, more := slices.Clone(j.lines), j.more
		j.mu.Unlock()
		for _, line := range lines {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return
			}
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no line has %q:\n%s", words, strings.Join(lines, "\n"))
		}
	}
}

// captured makes a member log to a journal.
func captured(cfg *gossip.Config) *journal {
	j := newJournal()
	cfg.Logger = slog.New(j)
	return j
}
