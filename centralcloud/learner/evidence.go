package learner

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"maps"
	"math"
	"slices"

	"singularity/centralcloud"
)

const (
	// lastingEvidence is how many judged calls of an arm at a task do not fade
	// with age: where little is called, old calls are better than none.
	lastingEvidence = 50
	// staleEvidence is how many calls from before a change count at most.
	staleEvidence = 3
	// skew is how far ahead of the hub a node's clock may be.
	skew = 600
)

// evidence is what the counters say of one arm at one kind of task, with older
// calls counting less.
type evidence struct {
	judged  float64
	quality float64
	calls   float64
	in, out float64 // tokens

	raw    int64   // judged calls, all alike
	scored float64 // the part of judged that is scores
}

func (e *evidence) add(s *span, weight float64) {
	e.judged += float64(float64(s.judged+s.scored.n) * weight)
	e.quality += float64(float64(s.quality+s.scored.quality) * weight)
	e.scored += float64(float64(s.scored.n) * weight)
	e.calls += float64(float64(s.calls) * weight)
	e.in += float64(float64(s.tokensIn) * weight)
	e.out += float64(float64(s.tokensOut) * weight)
	e.raw += s.judged + s.scored.n
}

func (e *evidence) merge(other evidence) {
	e.judged += other.judged
	e.quality += other.quality
	e.calls += other.calls
	e.in += other.in
	e.out += other.out
	e.raw += other.raw
	e.scored += other.scored
}

// picture is what a ledger shows at one moment.
type picture struct {
	config   Config
	now      int64
	arms     []Price
	tasks    []string
	kinds    []*kind                   // by arm and task; nil where there were no calls
	shifts   [][]shift                 // by arm
	suspects []centralcloud.Quarantine // instances that are left out
	onScores []bool                    // by task: verdicts do not count

	byBucket []evidence // by arm, task and bucket
	byTask   []evidence // by arm and task: the sum of the buckets
	health   []health   // by arm
}

func (l *Ledger) picture(prices Prices, config Config, now int64) *picture {
	p := &picture{config: config, now: now, arms: prices.arms(now)}
	p.suspects = l.quarantine(now)
	p.collect(l)
	p.preferScores()
	p.detectShifts()
	p.weigh()
	p.examine()
	return p
}

// collect lists the tasks, and the kinds of arms that have a price.
func (p *picture) collect(l *Ledger) {
	index := map[string]int{}
	for _, arm := range p.arms {
		for _, k := range l.arms[arm.Arm] {
			index[k.task] = 0
		}
	}
	p.tasks = slices.Sorted(maps.Keys(index))
	for t, task := range p.tasks {
		index[task] = t
	}
	p.kinds = make([]*kind, len(p.arms)*len(p.tasks))
	for a, arm := range p.arms {
		for _, k := range l.arms[arm.Arm] {
			p.kinds[p.at(a, index[k.task])] = k
		}
	}
}

// at is the index of an arm at a task.
func (p *picture) at(arm, task int) int { return arm*len(p.tasks) + task }

// cells goes through what there is of an arm: the tasks and their cells.
func (p *picture) cells(arm int) iter.Seq2[int, *cell] {
	return func(yield func(int, *cell) bool) {
		for t, k := range p.kinds[arm*len(p.tasks) : (arm+1)*len(p.tasks)] {
			if k == nil {
				continue
			}
			for b := range k.cells {
				if c := &k.cells[b]; len(c.hours) > 0 && !yield(t, c) {
					return
				}
			}
		}
	}
}

// weigh sums up the evidence, by its age and by what changed since.
func (p *picture) weigh() {
	p.byTask = make([]evidence, len(p.arms)*len(p.tasks))
	p.byBucket = make([]evidence, len(p.byTask)*buckets)
	// Epochs are told apart for two to three hours, then hours are enough.
	apart := p.now - floorMod(p.now, hour) - 2*hour
	for a := range p.arms {
		ages := p.ages(a, apart)
		for t := range p.tasks {
			i := p.at(a, t)
			if p.kinds[i] == nil {
				continue
			}
			parts := p.byBucket[i*buckets : (i+1)*buckets]
			var stale [buckets]evidence
			for b := range buckets {
				p.weighCell(a, &p.kinds[i].cells[b], &parts[b], &stale[b], apart, ages)
			}
			addStale(parts, stale)
			keepLasting(parts, len(p.shifts[a]) > 0)
			for _, part := range parts {
				p.byTask[i].merge(part)
			}
		}
	}
}

// weighCell adds what a cell holds: what came since the last change of the arm,
// and apart from it what is older.
func (p *picture) weighCell(arm int, c *cell, fresh, stale *evidence, apart int64, ages []float64) {
	changed := int64(math.MinInt64)
	if shifts := p.shifts[arm]; len(shifts) > 0 {
		changed = shifts[len(shifts)-1].at
	}
	add := func(s *span, length int64, weight float64) {
		if s.start+length/2 < changed {
			stale.add(s, weight)
		} else {
			fresh.add(s, weight)
		}
	}
	hours := c.hours.between(p.now-forgotten, apart)
	for i := range hours {
		add(&hours[i], hour, p.weight(arm, hours[i].start+hour/2))
	}
	epochs := c.epochs.between(apart, p.now+skew)
	for i := range epochs {
		add(&epochs[i], centralcloud.EpochSeconds, ages[(epochs[i].start-apart)/centralcloud.EpochSeconds])
	}
}

// addStale adds what is from before a change, up to a few calls in all: however
// long it was, it must not outweigh what came after.
func addStale(parts []evidence, stale [buckets]evidence) {
	var all evidence
	for _, s := range stale {
		all.merge(s)
	}
	if all.raw == 0 {
		return
	}
	judged := min(1, staleEvidence/max(1, all.judged))
	calls := min(1, staleEvidence/max(1, all.calls))
	for b, s := range stale {
		s.scale(judged)
		s.calls, s.in, s.out = float64(s.calls*calls), float64(s.in*calls), float64(s.out*calls)
		parts[b].merge(s)
	}
}

// ages are the weights of all epochs from a time on.
func (p *picture) ages(arm int, from int64) []float64 {
	weights := make([]float64, (p.now+skew-from)/centralcloud.EpochSeconds+1)
	for i := range weights {
		weights[i] = p.weight(arm, from+int64(i)*centralcloud.EpochSeconds+centralcloud.EpochSeconds/2)
	}
	return weights
}

// weight is how much a call at a time counts.
func (p *picture) weight(arm int, at int64) float64 {
	age := float64(max(0, p.now-at))
	weight := exp2(-min(age/p.config.HalfLife.Seconds(), 100))
	for _, s := range p.shifts[arm] {
		if at < s.at {
			weight = float64(weight * staleShare)
		}
	}
	return weight
}

// keepLasting raises evidence that faded by age to what lasts, unless the arm
// is known to have changed.
func keepLasting(parts []evidence, changed bool) {
	var all evidence
	for _, part := range parts {
		all.merge(part)
	}
	lasting := min(float64(all.raw), lastingEvidence)
	if changed || all.judged <= 0 || all.judged >= lasting {
		return
	}
	for b := range parts {
		parts[b].scale(lasting / all.judged)
	}
}

func (e *evidence) scale(factor float64) {
	e.judged = float64(e.judged * factor)
	e.quality = float64(e.quality * factor)
	e.scored = float64(e.scored * factor)
}

// successes is the quality in whole successes.
func (e *evidence) successes() float64 { return e.quality / 1e6 }

// hash names the evidence and the prices.
func (p *picture) hash() string {
	sum := sha256.New()
	var word [8]byte
	write := func(bits uint64) {
		binary.BigEndian.PutUint64(word[:], bits)
		sum.Write(word[:])
	}
	for a, arm := range p.arms {
		sum.Write([]byte(arm.String()))
		write(uint64(arm.In))
		write(uint64(arm.Out))
		write(math.Float64bits(p.health[a].availability))
	}
	for _, task := range p.tasks {
		sum.Write([]byte(task))
	}
	for _, e := range p.byBucket {
		for _, x := range [...]float64{e.judged, e.quality, e.calls, e.in, e.out} {
			write(math.Float64bits(x))
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
