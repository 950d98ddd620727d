package hub_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

// observed is a hub that runs, to be looked at from outside.
func (w *world) observed(change ...func(*hub.Config)) *hub.Hub {
	w.Helper()
	h, err := hub.New(w.config("observed", change...))
	w.must(err)
	ctx, cancel := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	w.Cleanup(func() { cancel(); running.Wait() })
	return h
}

// numbers are the metrics of a hub, by name and the value of their label.
func numbers(w *world, h *hub.Hub) map[string]float64 {
	w.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(h.Metrics())
	families, err := registry.Gather()
	w.must(err)
	found := map[string]float64{}
	for _, family := range families {
		name := strings.TrimPrefix(family.GetName(), "singularity_hub_")
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				name = strings.TrimPrefix(family.GetName(), "singularity_hub_") + " " + label.GetValue()
			}
			found[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return found
}

// eventually waits for numbers of a hub.
func (w *world) eventually(h *hub.Hub, want map[string]float64) map[string]float64 {
	w.Helper()
	return await(w, "metrics as they should be", func() (map[string]float64, bool) {
		found := numbers(w, h)
		for name, value := range want {
			if found[name] != value {
				return nil, false
			}
		}
		return found, true
	})
}

func TestMetricsTellWhatAHubHasCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join("n1", 0)
	update := results("n1", lately(), 2, map[centralcloud.Arm]int64{strong: 180, cheap: 180})
	late := results("n1", centralcloud.EpochOf(time.Now().Add(-48*time.Hour).Unix()), 1, map[centralcloud.Arm]int64{strong: 180})
	for _, message := range []any{update, update, late, map[string]any{"type": "rumour"}} {
		w.send(message)
	}
	h := w.observed()
	found := w.eventually(h, map[string]float64{
		"leads": 1, "messages_total results": 3, "messages_total hello": 1, "dead_letters_total": 1,
		"rows_total counted": 2, "rows_total duplicate": 2, "rows_total late": 1,
		"instances reading": 1, "instances away": 0,
	})
	if _, told := found["queue_messages "+centralcloud.UpQueue]; !told || found["queue_messages "+centralcloud.DeadUp]+found["queue_messages "+centralcloud.DeadDown] > 1 {
		t.Errorf("the lengths of queues are in none of %v", found)
	}
	policy := await(w, "a policy", func() (*centralcloud.Policy, bool) {
		policy, err := w.Policy(t.Context(), 0)
		return policy, err == nil
	})
	await(w, "its version", func() (bool, bool) {
		found := numbers(w, h)
		return true, found["policy_version"] >= float64(policy.Version) && found["policy_made_timestamp_seconds"] >= float64(policy.MadeAt.Unix()) && found["tick_seconds"] >= 1
	})
}

func TestHubThatDoesNotLeadTellsOfNoPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Lead(t.Context(), "another", time.Hour)
	w.must(err)
	h := w.observed()
	await(w, "it waits for its turn", func() (bool, bool) { return true, h.Ready(t.Context()) == nil })
	if found := numbers(w, h); found["leads"] != 0 || found["policy_version"] != 0 || found["tick_seconds"] != 0 {
		t.Errorf("metrics %v, want none of a leader", found)
	}
}

// unreachable is a store that does not answer, as long as a test says so.
type unreachable struct {
	hub.Store
	away func() bool
}

var errAway = errors.New("no connection to the hub's database")

func (s unreachable) Lead(ctx context.Context, holder string, term time.Duration) (hub.Lead, error) {
	if s.away() {
		return hub.Lead{}, errAway
	}
	return s.Store.Lead(ctx, holder, term)
}

func TestHubIsReadyWhileItReachesItsDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	idle, err := hub.New(w.config("idle"))
	w.must(err)
	if err := idle.Ready(t.Context()); err == nil {
		t.Error("a hub is ready that does not run")
	}
	var mu sync.Mutex
	away := false
	h := w.observed(func(config *hub.Config) {
		config.Store = unreachable{config.Store, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return away
		}}
	})
	for _, now := range []bool{false, true, false} {
		mu.Lock()
		away = now
		mu.Unlock()
		await(w, "readiness", func() (bool, bool) {
			err := h.Ready(t.Context())
			return true, (err == nil) != now && (err == nil || errors.Is(err, errAway))
		})
	}
}
