package patterns

import (
	"math"
	"time"

	"singularity/centralcloud"
)

// share is how many of some calls are of a kind, when each sample stands for
// some of them.
type share struct {
	samples int64
	weight  float64
	squares float64
	hits    float64 // the weight of those of the kind
	first   time.Time
}

func (s *share) add(at time.Time, weight float64, hit bool) {
	s.samples++
	s.weight += weight
	s.squares += weight * weight
	if !hit {
		return
	}
	s.hits += weight
	if s.first.IsZero() || at.Before(s.first) {
		s.first = at
	}
}

// without takes away what is a part of s.
func (s *share) without(part *share) share {
	return share{
		samples: s.samples - part.samples, weight: s.weight - part.weight,
		squares: s.squares - part.squares, hits: max(0, s.hits-part.hits),
	}
}

func (s *share) rate() float64 { return s.hits / s.weight }

// size is how many calls would tell as much if each stood for itself alone.
func (s *share) size() float64 {
	if s.samples == 0 {
		return 0
	}
	return s.weight * s.weight / s.squares
}

// difference is the interval of a's rate less b's (Newcombe's hybrid score).
func difference(a, b share, z float64) (low, high float64) {
	pa, pb := a.rate(), b.rate()
	la, ua := centralcloud.Wilson(pa, a.size(), z)
	lb, ub := centralcloud.Wilson(pb, b.size(), z)
	return pa - pb - math.Hypot(pa-la, ub-pb), pa - pb + math.Hypot(ua-pa, pb-lb)
}
