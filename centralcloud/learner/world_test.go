package learner_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// world is a small cluster whose arms succeed by chance, at known rates.
type world struct {
	t       *testing.T
	random  *rand.Rand
	ledger  *learner.Ledger
	prices  learner.Prices
	config  learner.Config
	now     int64
	nodes   int
	boots   int
	success func(task, model string) float64
	down    map[string]bool // models that fail to answer
	rows    []centralcloud.Row
	spent   int64
}

// The arms of the world: the strong one costs ten times as much.
var (
	strong = centralcloud.Arm{Provider: "p", Model: "strong"}
	cheap  = centralcloud.Arm{Provider: "p", Model: "cheap"}
	middle = centralcloud.Arm{Provider: "q", Model: "middle"}
)

func newWorld(t *testing.T, seed uint64, success func(task, model string) float64) *world {
	t.Helper()
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), ledger: learner.NewLedger(),
		config: learner.Config{Reference: strong}, now: 1_000_000_020, nodes: 8, success: success, down: map[string]bool{},
	}
	w.prices = w.prices.With(time.Unix(0, 0), price(strong, 10), price(middle, 4), price(cheap, 1))
	return w
}

// price is one of so many dollars for a million tokens in or out.
func price(arm centralcloud.Arm, dollars int64) learner.Price {
	return learner.Price{Arm: arm, In: dollars * 1_000_000, Out: dollars * 1_000_000}
}

func always(rate float64) func(task, model string) float64 {
	return func(string, string) float64 { return rate }
}

func (w *world) learn() *centralcloud.Policy {
	w.t.Helper()
	if err := w.config.Validate(w.prices, time.Unix(w.now, 0)); err != nil {
		w.t.Fatal(err)
	}
	return learner.Learn(w.ledger, w.prices, w.config, time.Unix(w.now, 0))
}

// row is so many calls of an arm at a task, in this epoch, judged by chance.
func (w *world) row(node int, task string, arm centralcloud.Arm, calls int) centralcloud.Row {
	w.boots++
	row := centralcloud.Row{Key: centralcloud.Key{
		Instance: "node-" + strconv.Itoa(node), Boot: strconv.Itoa(w.boots), Epoch: centralcloud.EpochOf(w.now), TaskType: task, Bucket: 1, Arm: arm,
	}, Revision: int64(calls)}
	for range calls {
		one := centralcloud.Counters{Errors: map[string]int64{"overload": 1}}
		if !w.down[arm.Model] {
			one = centralcloud.Counters{Calls: 1, Judged: 1, TokensIn: 100, TokensOut: 100, Latency: centralcloud.SketchOf(500_000 + w.random.Int64N(500_000))}
			if w.random.Float64() < w.success(task, arm.Model) {
				one.Successes, one.Quality, one.Squares = 1, 1_000_000, 1_000_000
			}
			price := map[string]int64{"strong": 10, "middle": 4, "cheap": 1}[arm.Model]
			one.Cost = 200 * price * 1000
			w.spent += one.Cost
		}
		row.Merge(one)
	}
	return row
}

// call has an arm called, in one epoch and shared between the nodes.
func (w *world) call(task string, arm centralcloud.Arm, calls int) {
	w.t.Helper()
	for node := range min(w.nodes, calls) {
		row := w.row(node, task, arm, calls/w.nodes+boolInt(node < calls%w.nodes))
		if row.Revision > 0 {
			w.add(row)
		}
	}
}

func (w *world) add(row centralcloud.Row) {
	w.rows = append(w.rows, row)
	w.ledger.Add(row)
}

// live lets the cluster follow its policies, with so many calls of each task in
// each of so many epochs, and returns the last policy.
func (w *world) live(epochs, calls int, tasks ...string) *centralcloud.Policy {
	w.t.Helper()
	policy := w.learn()
	for range epochs {
		for _, task := range tasks {
			row, found := policy.Row(task, 1)
			if !found {
				w.t.Fatalf("no row for %s", task)
			}
			chosen := map[centralcloud.Arm]int{}
			for range calls {
				picked, _, _ := row.Pick(w.random.Float64(), func(int) bool { return true })
				arm := row.Arms[picked]
				chosen[arm.Arm]++
			}
			for _, arm := range []centralcloud.Arm{strong, middle, cheap} {
				w.call(task, arm, chosen[arm])
			}
		}
		w.pass(centralcloud.EpochSeconds)
		policy = w.learn()
	}
	return policy
}

func (w *world) pass(seconds int64) { w.now += seconds }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// armOf is what a policy says of one arm at a task, in the bucket of all rows of
// the world.
func armOf(t *testing.T, policy *centralcloud.Policy, task string, arm centralcloud.Arm) centralcloud.PolicyArm {
	t.Helper()
	return armIn(t, policy, task, 1, arm)
}

func armIn(t *testing.T, policy *centralcloud.Policy, task string, bucket int, arm centralcloud.Arm) centralcloud.PolicyArm {
	t.Helper()
	row, found := policy.Row(task, bucket)
	if !found {
		t.Fatalf("no row for %s", task)
	}
	i := slices.IndexFunc(row.Arms, func(a centralcloud.PolicyArm) bool { return a.Arm == arm })
	if i < 0 {
		t.Fatalf("the row for %s does not list %s", task, arm)
	}
	return row.Arms[i]
}

func quality(policy *centralcloud.Policy) (events []centralcloud.DriftEvent) {
	for _, event := range policy.DriftEvents {
		if event.Kind == centralcloud.QualityDrift {
			events = append(events, event)
		}
	}
	return events
}

func encode(t *testing.T, policy *centralcloud.Policy) string {
	t.Helper()
	document, err := policy.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}
