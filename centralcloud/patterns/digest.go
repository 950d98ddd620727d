package patterns

import (
	"cmp"
	"hash/fnv"
	"iter"
	"maps"
	"slices"

	"singularity/centralcloud"
)

const (
	// partCount is how many parts of the instances are kept apart: with up to as many
	// instances, each is by itself.
	partCount = 16
	// spanQuestions is how many of the questions with the lowest seals, and of the
	// most frequent ones, are kept of a site in a span.
	spanQuestions = 64
	// mostQuestions is how many questions are kept of a span in all.
	mostQuestions = 4096
)

// digest is what is kept of a [Span].
type digest struct {
	start int64
	parts [partCount]*part // nil where there is nothing
}

// part is what some instances reported. It has sums for each kind of call, however
// many instances there are.
type part struct {
	calls   int64
	totals  map[armTask]*total
	strata  map[stratum]float64 // calls
	samples []weighed           // in the order of time
	asked   map[siteKey]*centralcloud.Asked
}

// weighed is a sample with the number of calls that it stands for.
type weighed struct {
	centralcloud.Sample
	weight float64
}

// stratum is what samples are drawn from apart.
type stratum struct {
	armTask
	bucket int
	failed bool
}

func stratumOf(s *centralcloud.Sample) stratum {
	return stratum{armTask{s.Arm, s.TaskType}, s.Bucket, s.ErrorClass != ""}
}

// all goes through the parts that there are.
func (d *digest) all() iter.Seq2[int, *part] {
	return func(yield func(int, *part) bool) {
		for i, p := range d.parts {
			if p != nil && !yield(i, p) {
				return
			}
		}
	}
}

func (d *digest) part(i int) *part {
	if d.parts[i] == nil {
		d.parts[i] = &part{totals: map[armTask]*total{}, strata: map[stratum]float64{}, asked: map[siteKey]*centralcloud.Asked{}}
	}
	return d.parts[i]
}

func (p *part) count(key cellKey, c *centralcloud.Counters) {
	kind := armTask{key.arm, key.task}
	p.calls += tried(c)
	entry(p.totals, kind).add(key.epoch, c)
	p.strata[stratum{kind, key.bucket, true}] += float64(failedOf(c))
	p.strata[stratum{kind, key.bucket, false}] += float64(succeeded(c))
}

// scale has the samples of each stratum stand for all of its calls together,
// however many samples were left out.
func (p *part) scale() {
	sums := map[stratum]float64{}
	for i := range p.samples {
		sums[stratumOf(&p.samples[i].Sample)] += p.samples[i].weight
	}
	for i := range p.samples {
		s := &p.samples[i]
		if of := stratumOf(&s.Sample); sums[of] > 0 {
			s.weight *= p.strata[of] / sums[of]
		}
	}
}

// thin leaves so many samples at most, half of them failures as far as there are
// as many of both. Who stays is as good as drawn by lot, but all calls of a run
// together.
func (d *digest) thin(most int) {
	ranks := map[bool][]uint64{} // of failures and successes
	for _, p := range d.all() {
		for i := range p.samples {
			s := &p.samples[i].Sample
			ranks[s.ErrorClass != ""] = append(ranks[s.ErrorClass != ""], rankOf(s))
		}
	}
	if len(ranks[true])+len(ranks[false]) <= most {
		return
	}
	limits := map[bool]uint64{}
	failures := min(len(ranks[true]), max(most/2, most-len(ranks[false])))
	for failed, room := range map[bool]int{true: failures, false: most - failures} {
		slices.Sort(ranks[failed])
		if room >= len(ranks[failed]) {
			limits[failed] = ^uint64(0)
		} else {
			limits[failed] = ranks[failed][room]
		}
	}
	for _, p := range d.all() {
		p.samples = slices.DeleteFunc(p.samples, func(s weighed) bool { return rankOf(&s.Sample) >= limits[s.ErrorClass != ""] })
		p.samples = slices.Clone(p.samples)
		p.scale()
	}
}

func rankOf(s *centralcloud.Sample) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(runOf(s))) // never fails
	return hash.Sum64()
}

func (d *digest) sampled() (n int) {
	for _, p := range d.all() {
		n += len(p.samples)
	}
	return n
}

// bound leaves no more questions than there may be.
func (d *digest) bound() {
	questions, lists := 0, 0
	for _, p := range d.all() {
		for _, asked := range p.asked {
			questions, lists = questions+len(asked.Questions), lists+1
		}
	}
	if questions <= mostQuestions {
		return
	}
	each := max(1, mostQuestions/lists/2)
	for _, p := range d.all() {
		for _, asked := range p.asked {
			asked.Shrink(each, each)
		}
	}
	// More sites than there is room for: those that call least say nothing.
	for _, p := range d.all() {
		if len(p.asked) <= mostQuestions/2/partCount {
			continue
		}
		sites := slices.SortedFunc(maps.Keys(p.asked), func(a, b siteKey) int {
			return cmp.Or(cmp.Compare(p.asked[b].Calls, p.asked[a].Calls), a.compare(b))
		})
		for _, site := range sites[mostQuestions/2/partCount:] {
			delete(p.asked, site)
		}
	}
}
