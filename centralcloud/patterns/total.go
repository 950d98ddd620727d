package patterns

import (
	"maps"
	"slices"

	"singularity/centralcloud"
)

// total sums up many rows, at a price that does not rise with what it holds.
type total struct {
	first   int64 // epoch
	rows    int64
	sum     centralcloud.Counters // but for:
	errors  map[string]int64
	latency map[int]int64 // by bucket
}

func (t *total) add(epoch int64, c *centralcloud.Counters) {
	t.begin(epoch)
	t.rows++
	flat := *c
	flat.Errors, flat.Latency, flat.GivenUp = nil, nil, nil
	t.sum.Merge(flat)
	for class, n := range c.Errors {
		t.errors[class] += n
	}
	for _, b := range c.Latency {
		t.latency[b.Bucket] += b.Count
	}
}

func (t *total) merge(other *total) {
	t.begin(other.first)
	t.rows += other.rows
	t.sum.Merge(other.sum)
	for class, n := range other.errors {
		t.errors[class] += n
	}
	for bucket, n := range other.latency {
		t.latency[bucket] += n
	}
}

func (t *total) begin(epoch int64) {
	if t.rows == 0 {
		t.first, t.errors, t.latency = epoch, map[string]int64{}, map[int]int64{}
	}
	t.first = min(t.first, epoch)
}

// tried counts the calls that met an answer or should have.
func (t *total) tried() int64 {
	c := centralcloud.Counters{Calls: t.sum.Calls, Errors: t.errors}
	return tried(&c)
}

func (t *total) counters() centralcloud.Counters {
	sum := t.sum
	sum.Errors = t.errors
	for _, bucket := range slices.Sorted(maps.Keys(t.latency)) {
		sum.Latency = append(sum.Latency, centralcloud.SketchBucket{Bucket: bucket, Count: t.latency[bucket]})
	}
	return sum
}
