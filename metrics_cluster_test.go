package singularity_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"singularity"
	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
	"singularity/centralcloud/sqlite"
	"singularity/internal/testpostgres"
	"singularity/llm"
	"singularity/llm/simulated"
)

// awaitMetrics scrapes until all of them have the values, to which they go by
// themselves.
func awaitMetrics(t *testing.T, engine *singularity.Engine, want map[string]float64) {
	t.Helper()
	deadline := time.After(patience)
	for {
		got := scrape(t, engine)
		var wrong []string
		for name, value := range want {
			if found, there := got[name]; !there || found != value {
				wrong = append(wrong, fmt.Sprintf("%s is %v (there: %t), want %v", name, found, there, value))
			}
		}
		if wrong == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal(strings.Join(wrong, "\n"))
		}
	}
}

func TestMetricsTellHowTheClusterStands(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a, b := openMember(t, database, "a", singularity.Cluster{}), openMember(t, database, "b", singularity.Cluster{})
	answers(t, a, "b")
	awaitMetrics(t, a, map[string]float64{
		"singularity_cluster_complete":                    1,
		`singularity_cluster_members{state="alive"}`:      2,
		`singularity_cluster_members{state="leaving"}`:    0,
		`singularity_cluster_members{state="unreadable"}`: 0,
		`singularity_cluster_members{state="missing"}`:    0,
		"singularity_cluster_streams":                     1,
		"singularity_cluster_refused_peers_total":         0,
		"singularity_cluster_refused_messages_total":      0,
	})
	before := scrape(t, a)[`singularity_cluster_letters_total{outcome="answered"}`]
	answers(t, a, "b")
	if _, err := a.Send(t.Context(), "b/dispatcher", "dance", nil); err == nil {
		t.Error("a dispatcher dances")
	}
	after := scrape(t, a)
	if got := after[`singularity_cluster_letters_total{outcome="answered"}`]; before < 1 || got != before+1 {
		t.Errorf("%v letters were answered, and then %v, want one more", before, got)
	}
	if got := after[`singularity_cluster_letters_total{outcome="refused"}`]; got != 1 {
		t.Errorf("%v letters were refused, want 1", got)
	}

	closeEngine(t, b)
	awaitMetrics(t, a, map[string]float64{
		`singularity_cluster_members{state="alive"}`: 1,
		"singularity_cluster_streams":                0,
	})
}

func TestMetricsOfAnEngineAloneHaveNoCluster(t *testing.T) {
	t.Parallel()
	for name := range scrape(t, open(t, singularity.Config{})) {
		if strings.HasPrefix(name, "singularity_cluster_") {
			t.Errorf("%s is there, and no cluster", name)
		}
	}
}

var metricName = regexp.MustCompile(`singularity_[a-z_]+`)

func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(document)) {
		if strings.HasPrefix(line, "| `") {
			documented = append(documented, metricName.FindString(line))
		}
	}
	engine := openMember(t, testpostgres.URL(t), "a", singularity.Cluster{})
	taught := open(t, singularity.Config{CentralCloud: singularity.CentralCloud{Queue: noHub(t)}})
	provider, err := simulated.New(simulated.Config{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	arm := centralcloud.Arm{Provider: "p", Model: "m"}
	models, err := llm.NewRouter(llm.DefaultTable(), []llm.Provider{provider}, llm.RouterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	learning, err := hub.New(hub.Config{
		Store: store, Name: "hub", Learner: learner.Config{Reference: arm}, Prices: []learner.Price{{Arm: arm, In: 1, Out: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 200)
	learning.Metrics().Describe(descs)
	engine.Metrics().Describe(descs)
	taught.Metrics().Describe(descs)
	models.Metrics().Describe(descs)
	close(descs)
	var told []string
	for desc := range descs {
		told = append(told, metricName.FindString(desc.String()))
	}
	slices.Sort(documented)
	slices.Sort(told)
	if told = slices.Compact(told); !slices.Equal(documented, told) {
		t.Errorf("docs/metrics.md has\n%v, and the engine, its models and its hub\n%v", documented, told)
	}
}
