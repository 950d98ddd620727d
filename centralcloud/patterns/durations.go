package patterns

import (
	"cmp"
	"math"
	"slices"
	"time"

	"singularity/centralcloud"
)

// durations are how long calls took, when each stands for some of them.
type durations struct {
	list    []duration
	weight  float64
	squares float64
	first   time.Time
}

type duration struct{ micros, weight float64 }

func (d *durations) add(at time.Time, micros, weight float64) {
	d.list = append(d.list, duration{micros, weight})
	d.weight += weight
	d.squares += weight * weight
	if d.first.IsZero() || at.Before(d.first) {
		d.first = at
	}
}

func (d *durations) merge(other *durations) {
	d.list = append(d.list, other.list...)
	d.weight += other.weight
	d.squares += other.squares
}

func (d *durations) sort() {
	slices.SortFunc(d.list, func(a, b duration) int { return cmp.Compare(a.micros, b.micros) })
}

// all goes through them, in their order, when each stands for so many times as many.
func (d *durations) all(times float64) centralcloud.Durations {
	return func(yield func(micros, weight float64) bool) {
		for _, one := range d.list {
			if !yield(one.micros, one.weight*times) {
				return
			}
		}
	}
}

// size is how many calls would tell as much if each stood for itself alone.
func (d *durations) size() float64 {
	if len(d.list) == 0 {
		return 0
	}
	return d.weight * d.weight / d.squares
}

// at is the duration below which the share q of all lies. They must be sorted.
func (d *durations) at(q float64) float64 {
	rank := q * d.weight
	for _, one := range d.list {
		if rank -= one.weight; rank < 0 {
			return one.micros
		}
	}
	return d.list[len(d.list)-1].micros
}

// ranks is the interval of the ranks among which the quantile q of all is to be
// found, by so many standard deviations.
func ranks(q, n, z float64) (low, high float64) {
	half := z * math.Sqrt(q*(1-q)/n)
	return q - half, q + half
}
