package learner

import (
	"hash/fnv"

	"singularity/centralcloud"
)

// drawn is how many draws decide a weight.
const drawn = 256

// draws are normal numbers, the same ones for an arm each time, so that a
// policy changes only with what is known. The second half mirrors the first.
type draws [drawn]float64

// normals are the quantiles that the draws of each arm are an order of.
var normals = func() (quantiles [drawn / 2]float64) {
	for i := range quantiles {
		quantiles[i] = normalQuantile((float64(i) + 0.5) / float64(len(quantiles)))
	}
	return quantiles
}()

func drawsOf(arm centralcloud.Arm) *draws {
	seed := fnv.New64a()
	seed.Write([]byte(arm.String()))
	state := seed.Sum64()
	order := normals
	for i := len(order) - 1; i > 0; i-- {
		j := int(splitmix(&state) % uint64(i+1))
		order[i], order[j] = order[j], order[i]
	}
	var d draws
	for i, x := range order {
		d[i], d[i+drawn/2] = x, -x
	}
	return &d
}

// splitmix is the generator SplitMix64.
func splitmix(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
