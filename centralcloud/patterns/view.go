package patterns

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"singularity/centralcloud"
)

// view is the evidence that a rule looks at: all of it, or one half.
type view struct {
	share   float64 // of the calls
	pieces  []piece
	samples []*weighed // in the order of time
}

// piece is a part of the instances in a span.
type piece struct {
	start int64
	*part
}

const (
	// witness is the share of all calls that a part of the instances has at least,
	// so that the others may be held against it.
	witness = 0.1
	// leastShare is what a half counts as at least that has a smaller share.
	leastShare = 0.25
	// viewQuestions is how many of the questions with the lowest seals, and of the
	// most frequent ones, are looked at of a site.
	viewQuestions = 256
)

// views returns all of the evidence, and its halves: each has other instances
// than the other or, where one alone makes almost all calls, other spans.
func (e *Evidence) views() (whole *view, halves [2]*view) {
	halfOf := e.split()
	whole, halves = &view{share: 1}, [2]*view{{}, {}}
	for _, start := range slices.Sorted(maps.Keys(e.digests)) {
		for i, p := range e.digests[start].all() {
			for _, v := range [...]*view{whole, halves[halfOf(start, i)]} {
				v.pieces = append(v.pieces, piece{start, p})
				for j := range p.samples {
					v.samples = append(v.samples, &p.samples[j])
				}
			}
		}
	}
	for _, half := range halves {
		half.share = max(leastShare, float64(half.tried())/max(1, float64(whole.tried())))
	}
	for _, v := range [...]*view{whole, halves[0], halves[1]} {
		slices.SortFunc(v.samples, func(a, b *weighed) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
	}
	return whole, halves
}

// split divides the parts so that both halves have about as many calls.
func (e *Evidence) split() (halfOf func(start int64, part int) int) {
	var calls [partCount]int64
	var sum int64
	for _, d := range e.digests {
		for i, p := range d.all() {
			calls[i] += p.calls
			sum += p.calls
		}
	}
	order, witnesses := make([]int, partCount), 0
	for i := range order {
		order[i] = i
		if calls[i] > 0 && float64(calls[i]) >= witness*float64(sum) {
			witnesses++
		}
	}
	if witnesses < 2 {
		return func(start int64, _ int) int { return int(start / int64(SpanLength.Seconds()) & 1) }
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(calls[b], calls[a]) })
	var half [partCount]int
	var has [2]int64
	for _, part := range order {
		if has[1] < has[0] {
			half[part] = 1
		}
		has[half[part]] += calls[part]
	}
	return func(_ int64, part int) int { return half[part] }
}

// calls goes through the samples in the order of time, each with the number of
// calls that it stands for.
func (v *view) calls() iter.Seq2[*centralcloud.Sample, float64] {
	return func(yield func(*centralcloud.Sample, float64) bool) {
		for _, s := range v.samples {
			if !yield(&s.Sample, s.weight) {
				return
			}
		}
	}
}

func (v *view) tried() (sum int64) {
	for _, p := range v.pieces {
		sum += p.calls
	}
	return sum
}

// sums are those of each kind of calls, of all times.
func (v *view) sums() map[armTask]*total {
	sums := map[armTask]*total{}
	for _, p := range v.pieces {
		for kind, sum := range p.totals {
			entry(sums, kind).merge(sum)
		}
	}
	return sums
}

// totals goes through the sums of each span.
func (v *view) totals() iter.Seq2[int64, map[armTask]*total] {
	return func(yield func(int64, map[armTask]*total) bool) {
		for _, p := range v.pieces {
			if !yield(p.start, p.totals) {
				return
			}
		}
	}
}

// asked sums up what each site asked, in the order of time.
func (v *view) asked() map[siteKey]*centralcloud.Asked {
	lists, sums := map[siteKey][]*centralcloud.Asked{}, map[siteKey]*centralcloud.Asked{}
	for _, p := range v.pieces {
		for site, asked := range p.asked {
			lists[site] = append(lists[site], asked)
		}
	}
	for site, list := range lists {
		sums[site] = centralcloud.SumAsked(list...)
		sums[site].Shrink(viewQuestions, viewQuestions)
	}
	return sums
}

// size is how many calls a rule needs of a view, when it needs so many of all.
func (v *view) size(of float64) float64 { return of * v.share }

// sure is how many standard deviations a rule asks of a view, when it asks for so
// many of all. What all of the evidence shows by so many, a half of it shows by
// fewer, and both together are as sure.
func (v *view) sure(deviations float64) float64 { return deviations * math.Sqrt(v.share) }
