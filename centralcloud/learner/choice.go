package learner

import (
	"cmp"
	"math"
	"slices"

	"singularity/centralcloud"
)

// contest is the choice between candidates for one kind of task.
type contest struct {
	candidates []candidate // by arm
	draws      []*draws    // by arm
	reference  int
	mode       centralcloud.Mode
	temper     float64
	delta      float64
	weight     float64 // of money: success that a nano-dollar is worth
}

// shares returns in which share of the draws each candidate is the right
// choice: Thompson's sampling, with all draws at once.
func (c *contest) shares() []float64 {
	wins := make([]float64, len(c.candidates))
	field := c.field()
	for v := range drawn {
		if winner := c.winner(field, v); winner >= 0 {
			wins[winner] += 1.0 / drawn
		}
	}
	return wins
}

// field is the usable candidates that can win a draw: the cheapest first in
// reference mode.
func (c *contest) field() []int {
	var field []int
	for i := range c.candidates {
		if c.candidates[i].usable() {
			field = append(field, i)
		}
	}
	if c.mode != centralcloud.Reference {
		return c.contenders(field)
	}
	if c.candidates[c.reference].usable() { // who cannot be as good as that
		enough := c.farthest(c.reference, -1) - c.delta
		field = slices.DeleteFunc(field, func(i int) bool { return i != c.reference && c.farthest(i, 1) < enough })
	}
	slices.SortStableFunc(field, func(a, b int) int { return cmp.Compare(c.candidates[a].cost, c.candidates[b].cost) })
	return field
}

// contenders leaves out who is worth less than another in any draw.
func (c *contest) contenders(field []int) []int {
	least := math.Inf(-1)
	for _, i := range field {
		least = max(least, c.value(i, c.farthest(i, -1)))
	}
	return slices.DeleteFunc(field, func(i int) bool { return c.value(i, c.farthest(i, 1)) < least })
}

// farthest is a success that no draw of a candidate exceeds, in the direction
// of the sign.
func (c *contest) farthest(i int, sign float64) float64 {
	const reach = 2.9 // the largest draw is 2.7
	b := c.candidates[i].belief
	return quickLogistic(b.mean + float64(sign*reach*c.temper*b.sd))
}

func (c *contest) winner(field []int, v int) int {
	if c.mode == centralcloud.Reference {
		return c.cheapestAsGood(field, v)
	}
	best, winner := 0.0, -1
	for _, i := range field {
		if value := c.value(i, c.success(i, v)); winner < 0 || value > best {
			best, winner = value, i
		}
	}
	return winner
}

// cheapestAsGood is the first of the field that is about as good as the
// reference, or the best of it when none is.
func (c *contest) cheapestAsGood(field []int, v int) int {
	enough := c.success(c.reference, v) - c.delta
	best, winner := 0.0, -1
	for _, i := range field {
		success := c.success(i, v)
		if success >= enough {
			return i
		}
		if winner < 0 || success > best {
			best, winner = success, i
		}
	}
	return winner
}

// success draws the success of a candidate.
func (c *contest) success(i, v int) float64 {
	b := c.candidates[i].belief
	return quickLogistic(b.mean + float64(c.temper*b.sd*c.draws[c.candidates[i].arm][v]))
}

// value is what a call is worth: its success, as far as it is answered, less
// what it costs.
func (c *contest) value(i int, success float64) float64 {
	return float64(success*c.candidates[i].health.availability) - float64(c.weight*c.candidates[i].cost)
}

// bests returns the probability of each candidate to have the most success of
// all that no guardrail bars, whatever it costs.
func (c *contest) bests() []float64 {
	const fewer = 64
	honest := *c
	honest.temper = 1
	shares := make([]float64, len(c.candidates))
	for v := range fewer {
		best, winner := 0.0, -1
		for i := range c.candidates {
			if c.candidates[i].barred != "" {
				continue
			}
			if success := honest.success(i, v*drawn/fewer); winner < 0 || success > best {
				best, winner = success, i
			}
		}
		if winner >= 0 {
			shares[winner] += 1.0 / fewer
		}
	}
	return shares
}
