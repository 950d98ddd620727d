package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
	"singularity/centralcloud/sqlite"
)

var (
	strong = centralcloud.Arm{Provider: "p", Model: "strong"}
	cheap  = centralcloud.Arm{Provider: "p", Model: "cheap"}
)

// world is a hub's database and what is known of the hubs that use it.
type world struct {
	*testing.T
	*sqlite.Store
	dir    string
	pupils map[string]*pupil // by instance
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), pupils: map[string]*pupil{}}
	w.Store = w.open()
	w.must(w.CreateQueue(t.Context(), centralcloud.UpQueue))
	return w
}

func (w *world) open() *sqlite.Store {
	w.Helper()
	store, err := sqlite.Open(w.Context(), w.dir)
	w.must(err)
	w.Cleanup(func() { _ = store.Close() })
	return store
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// config is that of a hub which does everything often.
func (w *world) config(name string, change ...func(*hub.Config)) hub.Config {
	w.Helper()
	config := hub.Config{
		Store: w.open(), Name: name, Every: 10 * time.Millisecond, PatternsEvery: 100 * time.Millisecond,
		Learner: learner.Config{Reference: strong},
		Prices: []learner.Price{
			{Arm: strong, In: 2_000_000, Out: 8_000_000},
			{Arm: cheap, In: 100_000, Out: 400_000},
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&config)
	}
	return config
}

// start runs a hub until the function that it returns was called.
func (w *world) start(name string, change ...func(*hub.Config)) (stop func()) {
	w.Helper()
	h, err := hub.New(w.config(name, change...))
	w.must(err)
	ctx, cancel := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	w.Cleanup(stop)
	return stop
}

// await waits until f finds what it looks for.
func await[T any](w *world, what string, f func() (T, bool)) T {
	w.Helper()
	deadline := time.After(time.Minute)
	for pause := time.NewTicker(5 * time.Millisecond); ; {
		if found, ok := f(); ok {
			return found
		}
		select {
		case <-pause.C:
		case <-deadline:
			w.Fatalf("%s: it did not happen within a minute", what)
		}
	}
}

func (w *world) send(message any) {
	w.Helper()
	body, err := json.Marshal(message)
	w.must(err)
	_, err = w.Send(w.Context(), centralcloud.UpQueue, centralcloud.Draft{Body: body})
	w.must(err)
}

func sender(id string) centralcloud.Instance {
	return centralcloud.Instance{ID: id, Boot: id + "-boot", Timestamp: time.Now()}
}

// join has an instance say hello, with the policy that it knows.
func (w *world) join(id string, version int64) {
	w.Helper()
	w.must(w.CreateQueue(w.Context(), centralcloud.DownQueue(id)))
	hello, err := centralcloud.EncodeHello(sender(id), map[string]int64{centralcloud.TypeModelRouting: version})
	w.must(err)
	_, err = w.Send(w.Context(), centralcloud.UpQueue, hello)
	w.must(err)
}

// results is an update of an instance: how many of so many calls of each arm
// succeeded.
func results(id string, epoch, revision int64, successes map[centralcloud.Arm]int64) centralcloud.Update {
	update := centralcloud.Update{Type: centralcloud.TypeResults, Instance: sender(id)}
	for arm, n := range successes {
		const calls = 200
		update.Counters = append(update.Counters, centralcloud.Row{
			Key:      centralcloud.Key{Instance: id, Boot: id + "-boot", Epoch: epoch, TaskType: "math", Arm: arm},
			Revision: revision,
			Counters: centralcloud.Counters{
				Calls: calls, Judged: calls, Successes: n, Quality: n * 1_000_000, Squares: n * 1_000_000,
				TokensIn: 100 * calls, TokensOut: 100 * calls, Cost: 1000 * calls, InversePropensity: calls * 1_000_000,
				Latency: centralcloud.Sketch{{Bucket: 300, Count: calls}},
			},
		})
	}
	return update
}

func lately() int64 { return centralcloud.EpochOf(time.Now().Unix() - 60) }

// taught waits for the next policy to an instance.
func (w *world) taught(id string) *centralcloud.Policy {
	w.Helper()
	w.lesson(id, "a policy", func(l centralcloud.Lesson) bool { return l.Type == centralcloud.TypeModelRouting })
	return w.pupils[id].learned.Policy
}

// favourite is the arm that a policy gives most calls at math.
func favourite(policy *centralcloud.Policy) centralcloud.Arm {
	row, found := policy.Row("math", 0)
	if !found {
		return centralcloud.Arm{}
	}
	return row.Arms[0].Arm
}

// counted waits until the hub has counted all messages.
func (w *world) counted() {
	w.Helper()
	await(w, "all messages counted", func() (bool, bool) {
		metrics, err := w.QueueMetrics(w.Context(), centralcloud.UpQueue)
		w.must(err)
		return true, metrics.Length == 0
	})
}

func TestHubTeachesTheCheaperModelWhereItIsAsGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("a")
	w.join("n1", 0)
	w.join("n2", 0)
	epoch := lately() // of both updates: the second counts in place of the first
	for i, step := range []struct {
		successes int64 // of the cheaper model, of 200 calls
		want      centralcloud.Arm
	}{{20, strong}, {180, cheap}} {
		w.send(results("n1", epoch, int64(i+1), map[centralcloud.Arm]int64{strong: 180, cheap: step.successes}))
		for _, id := range []string{"n1", "n2"} {
			await(w, id+" hears of the better model", func() (bool, bool) { return true, favourite(w.taught(id)) == step.want })
		}
	}
}

func TestNodeThatWasAwayGetsWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("a")
	w.join("n1", 0)
	policy := w.taught("n1")
	w.join("n2", policy.Version-1)
	if got := w.taught("n2").Version; got < policy.Version {
		t.Errorf("who was away is taught version %d, want %d at least", got, policy.Version)
	}
	w.join("n3", 1_000_000)
	w.counted()
	if metrics, err := w.QueueMetrics(t.Context(), centralcloud.DownQueue("n3")); err != nil || metrics.Total > 1 {
		t.Errorf("who knows all got %d messages, %v", metrics.Total, err)
	}
}

func TestNextHubGoesOnWhereTheLastOneDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.start("a")
	w.join("n1", 0)
	w.taught("n1")
	update := results("n1", lately(), 3, map[centralcloud.Arm]int64{strong: 180, cheap: 180})
	w.send(update)
	learnt := await(w, "the cheaper model is known", func() (*centralcloud.Policy, bool) {
		policy := w.taught("n1")
		return policy, favourite(policy) == cheap
	})
	stop()

	older := results("n1", update.Counters[0].Epoch, 2, map[centralcloud.Arm]int64{strong: 0, cheap: 0})
	w.send(older) // and late
	w.send(update)
	w.start("b")
	w.counted()
	w.send(results("n1", lately(), 1, map[centralcloud.Arm]int64{{Provider: "p", Model: "other"}: 0}))
	w.counted()
	policy, err := w.Policy(t.Context(), 0)
	w.must(err)
	if policy.Version < learnt.Version || favourite(policy) != cheap {
		t.Errorf("the next hub's policy has version %d and favours %s; want %d at least, and %s", policy.Version, favourite(policy), learnt.Version, cheap)
	}
	var calls int64
	w.must(w.Rows(t.Context(), func(row centralcloud.Row) error {
		if row.Arm == cheap {
			calls += row.Calls
		}
		return nil
	}))
	if calls != 200 {
		t.Errorf("%d calls are counted of 200", calls)
	}
}

func TestAmongHubsOneLeadsAndTheOtherTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.start("a")
	w.join("n1", 0)
	w.taught("n1")
	w.start("b")
	epoch := lately()
	w.send(results("n1", epoch, 1, map[centralcloud.Arm]int64{strong: 180, cheap: 180}))
	await(w, "the first hub learns", func() (bool, bool) { return true, favourite(w.taught("n1")) == cheap })
	stop()
	w.send(results("n1", epoch, 2, map[centralcloud.Arm]int64{strong: 180, cheap: 20}))
	await(w, "the second hub learns", func() (bool, bool) { return true, favourite(w.taught("n1")) == strong })
}

func TestHubTeachesPoliciesOfThousandsOfEntries(t *testing.T) {
	t.Parallel()
	const tasks, models = 200, 20
	w := newWorld(t)
	var prices []learner.Price
	update := centralcloud.Update{Type: centralcloud.TypeResults, Instance: sender("n1")}
	for i := range models {
		arm := centralcloud.Arm{Provider: "p", Model: fmt.Sprintf("model-of-some-vendor-%02d", i)}
		prices = append(prices, learner.Price{Arm: arm, In: int64(100_000 * (i + 1)), Out: int64(400_000 * (i + 1))})
		for j := range tasks {
			row := results("n1", lately(), 1, map[centralcloud.Arm]int64{arm: 120 + int64((i+j)%models)*3}).Counters[0]
			row.TaskType = fmt.Sprintf("task-%03d", j)
			update.Counters = append(update.Counters, row)
		}
	}
	w.start("a", func(c *hub.Config) {
		c.Every, c.PatternsEvery = 100*time.Millisecond, time.Hour
		c.Prices, c.Learner.Reference = prices, prices[models-1].Arm
	})
	w.join("n1", 0)
	drafts, err := centralcloud.EncodeUpdates(update.Instance, centralcloud.JobSummary{}, update.Counters, nil, nil)
	w.must(err)
	_, err = w.SendBatch(t.Context(), centralcloud.UpQueue, drafts)
	w.must(err)
	w.counted()
	policy := await(w, "a policy with a row for each task", func() (*centralcloud.Policy, bool) {
		policy := w.taught("n1")
		return policy, len(policy.Rows) >= tasks
	})
	kept, err := w.Policy(t.Context(), policy.Version)
	w.must(err)
	for i, row := range kept.Rows {
		weights := map[centralcloud.Arm]float64{}
		for _, arm := range row.Arms {
			if arm.Weight > 0 {
				weights[arm.Arm] = arm.Weight
			}
		}
		learned := map[centralcloud.Arm]float64{}
		for _, arm := range policy.Rows[i].Arms {
			if arm.Weight > 0 {
				learned[arm.Arm] = arm.Weight
			}
		}
		if len(row.Arms) != models || !reflect.DeepEqual(learned, weights) || row.Cell() != policy.Rows[i].Cell() {
			t.Fatalf("row %+v is kept of version %d, and %+v was taught", row, policy.Version, policy.Rows[i])
		}
	}
}

func TestMessagesThatMakeNoSenseArePutAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("a")
	bad := results("n1", lately(), 1, map[centralcloud.Arm]int64{strong: 180})
	bad.Counters[0].Successes = 201
	for _, message := range []any{
		bad, 7, map[string]any{"type": "rumour"}, centralcloud.Hello{Type: centralcloud.TypeHello, Instance: sender("n1"), Queue: "No Queue"},
		centralcloud.Update{Type: centralcloud.TypeResults},
	} {
		w.send(message)
	}
	w.counted()
	dead, err := w.Read(t.Context(), centralcloud.DeadUp, time.Minute, 10)
	w.must(err)
	if len(dead) != 5 {
		t.Errorf("%d messages were put aside, want 5", len(dead))
	}
}
