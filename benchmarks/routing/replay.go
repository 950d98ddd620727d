package main

import (
	"math/rand/v2"

	"singularity/centralcloud"
)

// router is what is compared: it hears of calls and chooses arms.
type router interface {
	hear(rows []centralcloud.Row)
	reprice(s *stream, now int)
	// policy returns the weights of the arms for a kind of task, as of now.
	policy(now int) func(task string, bucket int) []float64
}

// result is how a router fared on a stream.
type result struct {
	Success float64 `json:"success"`
	VsRef   float64 `json:"success_vs_strong"` // 1: as often right
	Saved   float64 `json:"cost_saved"`        // of always strong
	Regret  float64 `json:"regret_per_1000"`
	Settled int     `json:"settled_after"`
	Errors  float64 `json:"met_an_error"` // of the requests in an outage
	Late    float64 `json:"regret_per_1000_second_half"`
}

// replay lets a router serve a stream. Only what it chooses does it hear of.
func (s *stream) replay(r router, seed uint64) result {
	random := rand.New(rand.NewPCG(seed, 0x7069636b))
	transport := rand.New(rand.NewPCG(seed, 0x6e6574))
	cluster := newCluster(len(s.data.prices))
	var res result
	var wire []report
	var gaps []float64
	var spent, strongSpent, strongSuccess float64
	place := 0
	for second := 0; place < len(s.order); second++ {
		wire = deliver(wire, second, r)
		if second%policyEvery == 0 {
			cluster.publish(r.policy(second))
		}
		cluster.fetch(second)
		for range rate {
			if place == len(s.order) {
				break
			}
			if place == s.half {
				r.reprice(s, second)
			}
			success, cost, failed := s.serve(cluster, place, second, random)
			gap := s.bestUtility(place) - s.utility(success, cost)
			gaps = append(gaps, gap)
			strong, strongCost := s.at(place, s.strong)
			spent, strongSpent = spent+cost, strongSpent+strongCost
			res.Regret += gap
			if place >= s.half {
				res.Late += gap
			}
			res.Success += one(success)
			strongSuccess += one(strong.success)
			res.Errors += one(failed)
			place++
		}
		wire = append(wire, cluster.reports(second, s.scenario.repeat, transport)...)
	}
	n := float64(len(s.order))
	res.VsRef = res.Success / strongSuccess
	res.Success /= n
	res.Saved = 1 - spent/strongSpent
	res.Regret *= 1000 / n
	res.Late *= 1000 / (n - float64(s.half))
	res.Errors /= n / 10
	res.Settled = settled(gaps)
	return res
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s *stream) bestUtility(place int) float64 {
	phase := 0
	if place >= s.half {
		phase = 1
	}
	o, cost := s.at(place, s.best[phase][s.tasks[s.data.requests[s.order[place]].task]])
	return s.utility(o.success, cost)
}

// serve has a node answer the request at a place.
func (s *stream) serve(c *cluster, place, second int, random *rand.Rand) (success bool, cost float64, failed bool) {
	n := c.nodes[random.IntN(len(c.nodes))]
	request := &s.data.requests[s.order[place]]
	weights := n.policy(request.task, request.bucket)
	arm := pick(weights, random.Float64(), func(a int) bool { return n.closedAt[a] <= second })
	if s.scenario.outage && arm == s.favoured && place >= s.half && place < s.half+len(s.order)/10 {
		failed = true
		n.fail(arm, second)
		n.rows = append(n.rows, s.row(place, n.number, second, arm, true))
		arm = pick(weights, random.Float64(), func(a int) bool { return a != s.favoured })
	} else {
		n.errors[arm] = 0
	}
	n.rows = append(n.rows, s.row(place, n.number, second, arm, false))
	o, cost := s.at(place, arm)
	return o.success, cost, failed
}

// settled is after how many requests the utility stays near the best: over 400
// of them on average within 0.05, for 400 requests.
func settled(gaps []float64) int {
	const window, near = 400, 0.05
	sum, good := 0.0, 0
	for i, gap := range gaps {
		sum += gap
		if i >= window {
			sum -= gaps[i-window]
		}
		if i < window-1 || sum/window >= near {
			good = 0
			continue
		}
		if good++; good == window {
			return max(0, i-2*window+2)
		}
	}
	return len(gaps)
}

// pick chooses by weight among the arms that are allowed, or the first allowed
// one when none has a weight.
func pick(weights []float64, draw float64, allowed func(arm int) bool) int {
	var total float64
	chosen := -1
	for a, w := range weights {
		if allowed(a) {
			total += w
			if chosen < 0 {
				chosen = a
			}
		}
	}
	rest := draw * total
	for a, w := range weights {
		if w <= 0 || !allowed(a) {
			continue
		}
		if chosen = a; rest < w {
			break
		}
		rest -= w
	}
	return max(0, chosen)
}
