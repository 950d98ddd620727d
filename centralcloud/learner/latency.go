package learner

import (
	"cmp"
	"slices"

	"singularity/centralcloud"
)

// hourlyLatency is how long the answers of an hour took.
type hourlyLatency struct {
	start  int64
	sketch centralcloud.Counters // of which only Latency is used
}

func (c *cell) addLatency(epoch int64, sketch centralcloud.Sketch, sign int64) {
	if len(sketch) == 0 {
		return
	}
	start := epoch - floorMod(epoch, hour)
	i, found := slices.BinarySearchFunc(c.latency, start, func(l hourlyLatency, start int64) int { return cmp.Compare(l.start, start) })
	if !found {
		c.latency = slices.Insert(c.latency, i, hourlyLatency{start: start})
	}
	change := centralcloud.Counters{Latency: sketch}
	if sign < 0 {
		c.latency[i].sketch.Remove(change)
	} else {
		c.latency[i].sketch.Merge(change)
	}
}

func (c *cell) forgetLatency(before int64) {
	c.latency = slices.DeleteFunc(c.latency, func(l hourlyLatency) bool { return l.start+hour <= before })
}

// recentLatency is how long the answers of this hour and the last took.
func (c *cell) recentLatency(now int64) centralcloud.Sketch {
	var sum centralcloud.Counters
	for i := range c.latency {
		if start := c.latency[i].start; start <= now && start > now-2*hour {
			sum.Merge(c.latency[i].sketch)
		}
	}
	return sum.Latency
}
