package proof

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"testing"

	"singularity/centralcloud"
	"singularity/llm"
	"singularity/llm/anthropic"
	"singularity/llm/gemini"
	"singularity/llm/openai"
)

// The arms there are, at prices like those of vendors: the reference costs 40 times
// as much as the smallest.
var (
	reference = centralcloud.Arm{Provider: openai.Name, Model: "large"}
	fine      = centralcloud.Arm{Provider: anthropic.Name, Model: "fine"}
	fast      = centralcloud.Arm{Provider: gemini.Name, Model: "fast"}
	small     = centralcloud.Arm{Provider: openai.Name, Model: "small"}
	smallest  = centralcloud.Arm{Provider: gemini.Name, Model: "smallest"}

	models = &llm.Table{Date: "2025-11-26", Models: []llm.Model{
		priced(reference, llm.Large, 2000, 8000),
		priced(fine, llm.Medium, 600, 2400),
		priced(fast, llm.Medium, 300, 1200),
		priced(small, llm.Small, 100, 400),
		priced(smallest, llm.Small, 50, 200),
	}}
)

func priced(arm centralcloud.Arm, tier llm.Tier, in, out llm.NanoDollars) llm.Model {
	return llm.Model{
		Provider: arm.Provider, Name: arm.Model, Tier: tier, Context: 100_000, MaxTokens: 4000,
		Price: &llm.Price{In: in, Out: out, Cached: in, Written: in},
	}
}

// tasks are of all buckets of complexity.
var tasks = []string{"classification", "chat", "summarization", "math"}

// taskOf is the task of a request: they take turns.
func taskOf(request int) string { return tasks[request%len(tasks)] }

// cell is an arm at a task.
type cell struct {
	task string
	arm  centralcloud.Arm
}

// trait is what an arm is like at a task.
type trait struct {
	success float64
	in, out float64 // tokens on average
	latency float64 // milliseconds on average
}

// table is the truth of a seed.
type table struct {
	seed   uint64
	traits map[cell]trait
}

// levels are the success of the reference, from the easiest task to the hardest.
var levels = [...]struct{ low, high float64 }{{0.95, 0.98}, {0.92, 0.95}, {0.86, 0.90}, {0.80, 0.85}}

// masters is how many tasks an arm is as good at as the reference: the easiest.
var masters = map[centralcloud.Arm]int{fine: 3, fast: 3, small: 2, smallest: 2}

// newTable draws a table. An arm is as good as the reference, give or take a
// hundredth, at the tasks that it masters. At others it is worse by 10 to 15
// hundredths, and by 15 to 20 at the hardest, where the reference has no match: so
// no arm is good enough for all tasks, and to give away less than three hundredths
// it takes knowing which is good at which. Which task is how hard is drawn, and so
// is how long questions and answers are and how long they take.
func newTable(seed uint64) *table {
	random := rand.New(rand.NewPCG(seed, 1))
	between := func(low, high float64) float64 { return low + (high-low)*random.Float64() }
	t := &table{seed: seed, traits: map[cell]trait{}}
	for hardness, i := range random.Perm(len(tasks)) {
		level := between(levels[hardness].low, levels[hardness].high)
		in, out := between(150, 600), between(80, 300)
		for _, model := range models.Models {
			arm, success := model.Arm(), level
			switch {
			case arm == reference:
			case hardness < masters[arm]:
				success += between(-0.01, 0.01)
			case hardness < len(levels)-1:
				success -= between(0.1, 0.15)
			default:
				success -= between(0.15, 0.2)
			}
			t.traits[cell{tasks[i], arm}] = trait{success: success, in: in, out: out * between(0.8, 1.25), latency: between(5, 25)}
		}
	}
	return t
}

// answer is what an arm makes of a request.
type answer struct {
	good    bool
	usage   llm.Usage
	latency float64 // milliseconds
}

// answer is the same each time it is asked for. How hard a request is, is one draw
// that the success of each arm is held against: what one of them fails at, worse
// ones do, too.
func (t *table) answer(request int, at cell, success float64) answer {
	trait := t.traits[at]
	spread := func(of string) float64 { return 0.5 + t.draw(request, of) }
	return answer{
		good: t.draw(request, "hard") < success,
		usage: llm.Usage{
			In:  int64(trait.in * spread("question")),
			Out: int64(trait.out * spread("answer of "+at.arm.String())),
		},
		latency: trait.latency * spread("latency of "+at.arm.String()),
	}
}

// draw is a number in [0, 1) for a request.
func (t *table) draw(request int, of string) float64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(strconv.FormatUint(t.seed, 10) + "/" + strconv.Itoa(request) + "/" + of)) // never fails
	return rand.New(rand.NewPCG(hash.Sum64(), 1)).Float64()
}

// always is what so many requests would have come to at one arm.
func (t *table) always(arm centralcloud.Arm, requests int) account {
	all := accounts{}
	for request := range requests {
		at := cell{taskOf(request), arm}
		all.add(at, t.answer(request, at, t.traits[at].success))
	}
	return all.sum(anything)
}

func costOf(arm centralcloud.Arm, usage llm.Usage) llm.NanoDollars {
	model, _ := models.Find(arm.Provider, arm.Model)
	return model.Price.Cost(usage)
}

// What is asked of the hub has to take knowledge: no arm alone would do.
func TestNoModelAloneIsWorthAsMuch(t *testing.T) {
	t.Parallel()
	const requests = 10_000
	for seed := range uint64(5) {
		table := newTable(seed + 1)
		other := table.always(reference, requests)
		for _, model := range models.Models {
			worth := worthOf(table.always(model.Arm(), requests), other, requests)
			if worth.good() {
				t.Errorf("with seed %d, always asking %s is worth %+v", seed+1, model.Name, worth)
			}
		}
	}
}
