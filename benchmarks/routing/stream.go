package main

import (
	"fmt"
	"math/rand/v2"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// scenario is what happens in the middle of a stream.
type scenario struct {
	name string
	// The favourite is the arm that the best policy of the first half uses most.
	halved  bool    // half of the favourite's successes turn into failures
	repeat  bool    // a share of the reports comes twice, late and out of order
	outage  bool    // the favourite fails to answer, for a tenth of the stream
	dearer  float64 // the favourite's price is multiplied by this
	changed bool    // models change under the same name, as the data have it
}

var scenarios = []scenario{
	{name: "stationary"},
	{name: "halved", halved: true},
	{name: "dearer", dearer: 30},
	{name: "outage", outage: true},
	{name: "adverse", repeat: true},
	{name: "changed", changed: true},
}

// The stream: so many requests a second on so many nodes, which report every 30
// seconds and look for a policy every 10.
const (
	nodes        = 8
	rate         = 2
	reportEvery  = 30
	policyEvery  = 10
	breakerAfter = 3  // errors of an arm at a node, after which it is not asked
	breakerFor   = 30 // seconds
)

// stream is one run through the data in a random order.
type stream struct {
	data     *dataset
	scenario scenario
	order    []int
	flip     []bool // of each place: whether halved arms fail
	half     int
	strong   int
	weight   float64 // success that one call of the strong arm is worth
	mean     float64 // cost of one, in nano-dollars
	best     [][]int // by phase and request's task: the best arm in hindsight
	tasks    map[string]int
	favoured int
}

func newStream(d *dataset, s scenario, seed uint64, weight float64) *stream {
	random := rand.New(rand.NewPCG(seed, 0x73747265616d))
	st := &stream{data: d, scenario: s, order: random.Perm(len(d.requests)), weight: weight, tasks: map[string]int{}}
	st.half = len(st.order) / 2
	for range st.order {
		st.flip = append(st.flip, random.IntN(2) == 0)
	}
	for _, r := range d.requests {
		if _, known := st.tasks[r.task]; !known {
			st.tasks[r.task] = len(st.tasks)
		}
	}
	st.favoured = -1
	st.findStrong()
	st.favoured = st.favourite()
	st.best = [][]int{st.bestBetween(0, st.half), st.bestBetween(st.half, len(st.order))}
	if !s.halved && s.dearer == 0 && !s.changed {
		all := st.bestBetween(0, len(st.order))
		st.best = [][]int{all, all}
	}
	return st
}

// at is what an arm makes of the request at a place, and what it costs in
// nano-dollars. The outage does not count.
func (s *stream) at(place, arm int) (outcome, float64) {
	r := &s.data.requests[s.order[place]]
	o, price := r.outcomes[arm], s.data.prices[arm]
	dear := 1.0
	if place >= s.half {
		if s.scenario.changed && r.later != nil {
			o = r.later[arm]
		}
		if arm == s.favoured {
			if s.scenario.halved && s.flip[place] {
				o.success = false
			}
			if s.scenario.dearer > 0 {
				dear = s.scenario.dearer
			}
		}
	}
	return o, dear * float64(o.in*price.In+o.out*price.Out) / 1000
}

func (s *stream) utility(success bool, cost float64) float64 {
	utility := -s.weight * cost / s.mean
	if success {
		utility++
	}
	return utility
}

// findStrong finds the arm that succeeds most often of all.
func (s *stream) findStrong() {
	most := -1
	for a := range s.data.prices {
		successes, cost := 0, 0.0
		for place := range s.order {
			o, c := s.at(place, a)
			cost += c
			if o.success && (place < s.half || !s.scenario.changed) {
				successes++
			}
		}
		if successes > most {
			most, s.strong, s.mean = successes, a, cost/float64(len(s.order))
		}
	}
}

// bestBetween is the arm of most utility for each task, in hindsight.
func (s *stream) bestBetween(from, to int) []int {
	sums := make([][]float64, len(s.tasks))
	for t := range sums {
		sums[t] = make([]float64, len(s.data.prices))
	}
	for place := from; place < to; place++ {
		t := s.tasks[s.data.requests[s.order[place]].task]
		for a := range s.data.prices {
			o, cost := s.at(place, a)
			sums[t][a] += s.utility(o.success, cost)
		}
	}
	best := make([]int, len(sums))
	for t := range sums {
		for a := range sums[t] {
			if sums[t][a] > sums[t][best[t]] {
				best[t] = a
			}
		}
	}
	return best
}

func (s *stream) favourite() int {
	uses := make([]int, len(s.data.prices))
	best := s.bestBetween(0, s.half)
	for place := range s.half {
		uses[best[s.tasks[s.data.requests[s.order[place]].task]]]++
	}
	favourite := 0
	for a := range uses {
		if uses[a] > uses[favourite] {
			favourite = a
		}
	}
	return favourite
}

// report is what a node says of its calls of one epoch, as a learner gets it.
type report struct {
	due  int
	rows []centralcloud.Row
}

// row is the report of a single call. Each has a boot of its own, so that it
// counts once however often it comes.
func (s *stream) row(place, node, second, arm int, failed bool) centralcloud.Row {
	r := &s.data.requests[s.order[place]]
	o, cost := s.at(place, arm)
	row := centralcloud.Row{Key: centralcloud.Key{
		Instance: fmt.Sprint("node-", node), Boot: fmt.Sprint(place), Epoch: centralcloud.EpochOf(int64(second)),
		TaskType: r.task, Bucket: r.bucket, Arm: s.data.prices[arm].Arm,
	}, Revision: 1}
	if failed {
		row.Errors = map[string]int64{"overload": 1}
		return row
	}
	row.Counters = centralcloud.Counters{
		Calls: 1, Judged: 1, TokensIn: o.in, TokensOut: o.out, Cost: int64(cost), Latency: centralcloud.SketchOf(o.millis * 1000),
	}
	if o.success {
		row.Successes, row.Quality, row.Squares = 1, 1_000_000, 1_000_000
	}
	return row
}

// repriced are the prices from the middle of the stream on.
func (s *stream) repriced() []learner.Price {
	if s.scenario.dearer == 0 {
		return nil
	}
	p := s.data.prices[s.favoured]
	p.In, p.Out = int64(float64(p.In)*s.scenario.dearer), int64(float64(p.Out)*s.scenario.dearer)
	return []learner.Price{p}
}
