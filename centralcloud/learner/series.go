package learner

import (
	"cmp"
	"slices"

	"singularity/centralcloud"
)

// span is what the learner needs of the [centralcloud.Counters] of a time.
type span struct {
	start     int64
	calls     int64
	judged    int64 // by the verdict of a step; what people said of it is scored
	quality   int64
	squares   int64
	scored    scored
	tokensIn  int64
	tokensOut int64
	failed    int64 // calls without an answer
	inverse   int64 // the sum of inverse propensities, in millionths
	cost      int64 // in the series of spending only
}

func spanOf(c centralcloud.Counters) span {
	return span{
		calls: c.Calls, judged: c.Judged - c.Scored, quality: c.Quality - c.ScoredQuality, squares: c.Squares - c.ScoredSquares,
		scored:   scored{c.Scored, c.ScoredQuality, c.ScoredSquares},
		tokensIn: c.TokensIn, tokensOut: c.TokensOut, failed: c.Unavailable(), inverse: c.InversePropensity,
	}
}

func (s span) plus(other span) span {
	s.calls += other.calls
	s.judged += other.judged
	s.quality += other.quality
	s.squares += other.squares
	s.scored = s.scored.plus(other.scored, 1)
	s.tokensIn += other.tokensIn
	s.tokensOut += other.tokensOut
	s.failed += other.failed
	s.inverse += other.inverse
	s.cost += other.cost
	return s
}

func (s span) times(sign int64) span {
	return span{
		calls: sign * s.calls, judged: sign * s.judged, quality: sign * s.quality, squares: sign * s.squares,
		scored:   scored{}.plus(s.scored, sign),
		tokensIn: sign * s.tokensIn, tokensOut: sign * s.tokensOut, failed: sign * s.failed, inverse: sign * s.inverse, cost: sign * s.cost,
	}
}

func (s span) minus(other span) span { return s.plus(other.times(-1)) }

// series is spans in the order of their starts.
type series []span

func (s *series) add(start int64, change span) {
	i, found := s.search(start)
	if !found {
		*s = slices.Insert(*s, i, span{start: start})
	}
	(*s)[i] = (*s)[i].plus(change)
}

func (s *series) search(start int64) (int, bool) {
	return slices.BinarySearchFunc(*s, start, func(e span, start int64) int { return cmp.Compare(e.start, start) })
}

// between returns the spans that start from one time until before another. Mostly
// that is the newest ones, which whoever asks goes through anyway: so does this.
func (s *series) between(from, until int64) []span {
	spans := *s
	last := len(spans)
	for last > 0 && spans[last-1].start >= until {
		last--
	}
	first := last
	if last > 0 && spans[0].start >= from {
		first = 0
	}
	for first > 0 && spans[first-1].start >= from {
		first--
	}
	return spans[first:last]
}

func (s *series) forget(before int64) {
	if i, _ := s.search(before); i > 0 {
		*s = slices.Clone((*s)[i:])
	}
}

// total sums up spans.
func total(spans []span) (sum span) {
	for i := range spans {
		sum = sum.plus(spans[i])
	}
	return sum
}
