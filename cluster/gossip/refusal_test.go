package gossip_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"singularity/cluster/gossip"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 500)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*gossip.Config)
		want   string
	}{
		{"no boot", func(c *gossip.Config) { c.Boot = "" }, `boot "" has 0 bytes: expected 1 to 128`},
		{"no address", func(c *gossip.Config) { c.Bind = "" }, `address "": expected host:port`},
		{"a port that is none", func(c *gossip.Config) { c.Bind = "127.0.0.1:gossip" }, `"127.0.0.1:gossip": expected a port`},
		{"a seed without a port", func(c *gossip.Config) { c.Seeds = []string{"here"} }, `seed address "here": expected host:port`},
		{"an address beyond loopback without keys", func(c *gossip.Config) { c.Bind = "192.0.2.1:7946" }, "--gossip-key-file"},
		{"all interfaces without keys", func(c *gossip.Config) { c.Bind = ":0" }, "--gossip-key-file"},
		{"everywhere as the address for others", func(c *gossip.Config) { c.Advertise = "0.0.0.0:1" }, "expected an address at which others reach"},
		{"a port for others without one to listen on", func(c *gossip.Config) { c.Advertise = "127.0.0.1:1" }, "advertise 127.0.0.1:1: expected port 0"},
		{"a short key", func(c *gossip.Config) { c.Keys = []gossip.Key{gossip.Key("short")} }, "key 1: the key has 5 bytes: expected 16, 24 or 32"},
		{"no key file", func(c *gossip.Config) { c.KeyFile = empty + "-not" }, "read the key file: open " + empty + "-not"},
		{"an empty key file", func(c *gossip.Config) { c.KeyFile = empty }, "has no key"},
		{"keys of two kinds", func(c *gossip.Config) { c.KeyFile, c.Keys = empty, []gossip.Key{gossip.NewKey()} }, "expected one of them"},
		{"a long name of the cluster", func(c *gossip.Config) { c.Cluster = long }, "the name of the cluster has 500 bytes: expected at most 255"},
		{"a long instance", func(c *gossip.Config) { c.Instance = long }, "instance (500 bytes)"},
		{"an answer that may come too late", func(c *gossip.Config) { c.Timing = gossip.Timing{Answer: time.Second} }, "answer 1s is not shorter than probe"},
		{"a negative time", func(c *gossip.Config) { c.Timing.Reap = -1 }, "reap -1ns is not positive"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := (&registry{}).config(t, "a")
			test.change(&cfg)
			g, err := gossip.Open(t.Context(), cfg)
			if err == nil {
				_ = g.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestOpenNamesTheAddressThatIsInUse(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	first := nodes.open(t, nodes.config(t, "a"))
	cfg := nodes.config(t, "b")
	cfg.Bind = first.Address()
	g, err := gossip.Open(t.Context(), cfg)
	if err == nil {
		_ = g.Close()
	}
	if err == nil || !strings.Contains(err.Error(), first.Address()) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want that %s is in use", err, first.Address())
	}
}

func TestUpdateRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	members := nodes.cluster(t, nodes.config(t, "a"), nodes.config(t, "b"))
	err := members[0].Update(t.Context(), gossip.Meta{Role: "large", Version: strings.Repeat("x", 512)})
	if err == nil || !strings.Contains(err.Error(), "version (512)") {
		t.Errorf("error %v, want that the version is long", err)
	}
	if err := members[0].Update(t.Context(), gossip.Meta{Role: "small"}); err != nil {
		t.Fatal(err)
	}
	await(t, members[1], "the next update", func(view gossip.View) bool {
		m, _ := view.Member("a")
		if m.Role == "large" {
			t.Error("the update that was refused arrived")
		}
		return m.Role == "small"
	})
}

func TestStrangersAreNeverMembers(t *testing.T) {
	t.Parallel()
	key, other := gossip.NewKey(), gossip.NewKey()
	tests := []struct {
		name                     string
		home                     func(*gossip.Config)
		strange                  func(*gossip.Config)
		strangerSays, memberSays string
	}{
		{
			name:         "another key",
			home:         func(c *gossip.Config) { c.Keys = []gossip.Key{key} },
			strange:      func(c *gossip.Config) { c.Keys = []gossip.Key{other} },
			strangerSays: "a node was not joined", memberSays: "decrypt",
		},
		{
			name:         "no key",
			home:         func(c *gossip.Config) { c.Keys = []gossip.Key{key} },
			strange:      func(*gossip.Config) {},
			strangerSays: "a node was not joined", memberSays: "not encrypted",
		},
		{
			name:         "another name of the cluster",
			home:         func(c *gossip.Config) { c.Cluster = "blue" },
			strange:      func(c *gossip.Config) { c.Cluster = "green" },
			strangerSays: "a node was not joined", memberSays: "label",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nodes := &registry{}
			home, stranger, friend := nodes.config(t, "home"), nodes.config(t, "stranger"), nodes.config(t, "friend")
			test.home(&home)
			test.home(&friend)
			test.strange(&stranger)
			heard, said := captured(&home), captured(&stranger)
			member := nodes.open(t, home)
			stranger.Peers, stranger.Seeds = nil, []string{member.Address()}
			outsider := (&registry{}).open(t, stranger)
			said.await(t, "WARN", test.strangerSays, member.Address())
			heard.await(t, "ERROR", test.memberSays)

			// Both stay up, and the cluster goes on.
			nodes.open(t, friend)
			view := await(t, member, "the friend", size(2))
			if _, found := view.Member("stranger"); found {
				t.Errorf("the stranger is a member: %+v", view.Members())
			}
			if err := outsider.Update(t.Context(), gossip.Meta{Role: "outsider"}); err != nil {
				t.Error(err)
			}
			await(t, outsider, "its own update", func(view gossip.View) bool {
				m, _ := view.Member("stranger")
				return m.Role == "outsider" && view.Len() == 1
			})
		})
	}
}
