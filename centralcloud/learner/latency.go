package learner

import (
	"cmp"
	"slices"

	"singularity/centralcloud"
)

// latency is how long the answers of one kind took, by hour.
type latency struct {
	hours []hourlyLatency

	// The sum over this hour and the last, as long as it holds.
	recent centralcloud.Sketch
	at     int64 // its hour; 0 when it does not hold
}

type hourlyLatency struct {
	start  int64
	sketch centralcloud.Sketch
}

func (l *latency) add(epoch int64, sketch centralcloud.Sketch, sign int64) {
	if len(sketch) == 0 {
		return
	}
	l.at = 0
	start := epoch - floorMod(epoch, hour)
	i, found := slices.BinarySearchFunc(l.hours, start, func(h hourlyLatency, start int64) int { return cmp.Compare(h.start, start) })
	if !found {
		l.hours = slices.Insert(l.hours, i, hourlyLatency{start: start})
	}
	l.hours[i].sketch = l.hours[i].sketch.Plus(sketch, sign)
}

func (l *latency) forget(before int64) {
	l.hours = slices.DeleteFunc(l.hours, func(h hourlyLatency) bool { return h.start+hour <= before })
	l.at = 0
}

// lately is how long the answers of this hour and the last took.
func (l *latency) lately(now int64) centralcloud.Sketch {
	present := now - floorMod(now, hour)
	if l.at == present && present != 0 {
		return l.recent
	}
	var sum centralcloud.Sketch
	for i := range l.hours {
		if start := l.hours[i].start; start == present || start == present-hour {
			sum = sum.Plus(l.hours[i].sketch, 1)
		}
	}
	l.recent, l.at = sum, present
	return l.recent
}
