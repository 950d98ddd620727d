package learner

import (
	"slices"

	"singularity/centralcloud"
)

const (
	// Shares below this are noise.
	leastShare = 0.01
	// settledAt is how many judged calls make a kind of task well known.
	settledAt = 100
	// anchorShare is what the reference gets for being held against when its
	// success is known to within delta.
	anchorShare = 0.05
	// leastBehind is the success by which arms differ at least, as far as trying
	// them out goes.
	leastBehind = 0.01
)

// weights turns shares of draws into probabilities: they settle on a favourite
// where enough is known, and keep a little for all that are allowed.
func (c *contest) weights(shares []float64, config Config, critical bool) []float64 {
	weights := slices.Clone(shares)
	for i, share := range weights {
		if share < leastShare {
			weights[i] = 0
		}
	}
	if !normalise(weights) {
		weights[c.lastResort()] = 1
	}
	favourite := maxIndex(weights)
	if critical {
		return only(favourite, len(weights))
	}
	var judged float64
	for i := range c.candidates {
		judged += c.candidates[i].evidence.judged
	}
	if others := 1 - weights[favourite]; judged >= settledAt && others > config.MaxExploration {
		for i := range weights {
			weights[i] *= config.MaxExploration / others
		}
		weights[favourite] = 1 - config.MaxExploration
	}
	c.anchor(weights, config.MaxExploration)
	c.explore(weights, config.Exploration)
	return weights
}

// anchor keeps calls coming to the reference, the more the less its success is
// known beside delta: all others are held against it, so an unlucky start must
// not be the last that is heard of it.
func (c *contest) anchor(weights []float64, most float64) {
	reference := &c.candidates[c.reference]
	if c.mode != centralcloud.Reference || !reference.usable() {
		return
	}
	_, sd := onShares(reference.belief)
	least := min(most, float64(anchorShare*square(sd/c.delta)))
	if weights[c.reference] >= least {
		return
	}
	for i := range weights {
		weights[i] = float64(weights[i] * (1 - least) / (1 - weights[c.reference]))
	}
	weights[c.reference] = least
}

// explore spreads a share over all candidates that no guardrail bars: half of it
// to each alike, so that whoever recovers is noticed, and half of it by how much
// there is to find out. Those that are down get a probe.
func (c *contest) explore(weights []float64, exploration float64) {
	allowed, doubts := make([]float64, len(weights)), c.doubts(maxIndex(weights))
	for i := range c.candidates {
		if c.candidates[i].barred == "" {
			allowed[i] = 1
		}
	}
	if exploration == 0 || !normalise(allowed) {
		return
	}
	if !normalise(doubts) {
		doubts = allowed
	}
	for i := range c.candidates {
		weights[i] = float64(weights[i] * (1 - exploration))
		switch {
		case c.candidates[i].barred != "":
		case c.candidates[i].health.down:
			weights[i] = max(weights[i], probe)
		default:
			weights[i] += float64(exploration * (allowed[i] + doubts[i]) / 2)
		}
	}
	normalise(weights)
}

// doubts is how many calls it takes to tell each candidate from the favourite, in
// proportion: one by the square of how far it is behind, if it is as good as it
// may be (Lai and Robbins, 1985). So little is lost on those that are far behind.
func (c *contest) doubts(favourite int) []float64 {
	doubts := make([]float64, len(c.candidates))
	best := c.value(favourite, c.candidates[favourite].belief.success())
	for i := range c.candidates {
		if i == favourite || !c.candidates[i].usable() {
			continue
		}
		success, sd := onShares(c.candidates[i].belief)
		doubts[i] = 1 / square(max(leastBehind, best-c.value(i, success+sd)))
	}
	return doubts
}

// lastResort is whom to ask when no candidate is usable: the reference, or if
// that is down the best of those that are up, and the reference after all.
func (c *contest) lastResort() int {
	resort := c.reference
	if !c.candidates[resort].health.down {
		return resort
	}
	for i := range c.candidates {
		if c.candidates[i].health.down {
			continue
		}
		if c.candidates[resort].health.down || c.candidates[i].belief.mean > c.candidates[resort].belief.mean {
			resort = i
		}
	}
	return resort
}

// normalise makes the weights sum up to 1, unless all of them are 0.
func normalise(weights []float64) bool {
	var sum float64
	for _, w := range weights {
		sum += w
	}
	if sum <= 0 {
		return false
	}
	for i := range weights {
		weights[i] /= sum
	}
	return true
}

func maxIndex(values []float64) int {
	best := 0
	for i, x := range values {
		if x > values[best] {
			best = i
		}
	}
	return best
}

func only(index, size int) []float64 {
	weights := make([]float64, size)
	weights[index] = 1
	return weights
}
