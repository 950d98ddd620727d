package gossip_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"singularity/cluster/gossip"
)

func TestProbeFindsAMemberAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	keys := []gossip.Key{gossip.NewKey()}
	cfg := nodes.config(t, "a")
	cfg.Cluster, cfg.Keys = "test", keys
	a := nodes.open(t, cfg)
	err := gossip.ErrSilent
	for begun := time.Now(); errors.Is(err, gossip.ErrSilent) && time.Since(begun) < deadline; { // as a busy machine may be for a while
		err = gossip.Probe(t.Context(), gossip.Config{Cluster: "test", Keys: keys}, "a", a.Address())
	}
	if err != nil {
		t.Error(err)
	}
	cfg = nodes.config(t, "b")
	cfg.Cluster, cfg.Keys = "test", keys
	b := nodes.open(t, cfg)
	for _, m := range []*gossip.Gossip{a, b} { // by then, both would have heard of the prober
		await(t, m, "both members", size(2))
		if strangers := m.View().Unreadable(); strangers != 0 {
			t.Errorf("%d are there whom nobody knows", strangers)
		}
	}
}

func TestProbeTellsWhatIsAmiss(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	keys := []gossip.Key{gossip.NewKey()}
	cfg := nodes.config(t, "a")
	cfg.Cluster, cfg.Keys = "test", keys
	a := nodes.open(t, cfg)
	for name, test := range map[string]struct {
		cfg           gossip.Config
		boot, address string
		want          error
	}{
		"nobody listens":  {gossip.Config{Cluster: "test", Keys: keys}, "a", "127.0.0.1:1", syscall.ECONNREFUSED},
		"other keys":      {gossip.Config{Cluster: "test", Keys: []gossip.Key{gossip.NewKey()}}, "a", a.Address(), gossip.ErrSilent},
		"no keys":         {gossip.Config{Cluster: "test"}, "a", a.Address(), gossip.ErrSilent},
		"another cluster": {gossip.Config{Cluster: "other", Keys: keys}, "a", a.Address(), gossip.ErrSilent},
		"another boot":    {gossip.Config{Cluster: "test", Keys: keys}, "b", a.Address(), gossip.ErrSilent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := gossip.Probe(t.Context(), test.cfg, test.boot, test.address); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestAddressesAreKnownBeforeOpen(t *testing.T) {
	t.Parallel()
	bind, advertise, err := gossip.Config{Boot: "a", Bind: "localhost:7946", Advertise: "10.1.2.3:0"}.Addresses(t.Context())
	if err != nil || bind.String() != "127.0.0.1:7946" || advertise.String() != "10.1.2.3:7946" {
		t.Errorf("got %s and %s, %v", bind, advertise, err)
	}
	for name, cfg := range map[string]gossip.Config{
		"beyond loopback without keys": {Boot: "a", Bind: "0.0.0.0:7946"},
		"no such key file":             {Boot: "a", Bind: "127.0.0.1:0", KeyFile: filepath.Join(t.TempDir(), "keys")},
	} {
		if _, _, err := cfg.Addresses(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
