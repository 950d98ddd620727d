package learner

import (
	"math"
	"slices"
	"time"

	"singularity/centralcloud"
)

const (
	// staleShare is what calls from before a change still count.
	staleShare = 0.05
	// Alarms need this many standard deviations in a window, with at least so
	// many judged calls.
	alarm      = 4.5
	fewest     = 25
	watchedFor = 6 * hour // changes are remembered for as long
	// onsetFor is how many epochs before its alarm a change may have begun.
	onsetFor = 20
)

// windows are how many epochs are held against all that is older: a large change
// shows in few, where older calls do not water it down, a small one in many.
var windows = [...]int{1, 3, 10}

// shift is a change in how well an arm does.
type shift struct {
	at       int64 // the first second after it
	from, to float64
	n        int64
	evidence float64
}

// moments sums up judged calls at one task.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(s *span, weight float64) {
	m.n += float64(float64(s.judged) * weight)
	m.sum += float64(float64(s.quality) * weight / 1e6)
	m.squares += float64(float64(s.squares) * weight / 1e6)
}

func (m *moments) usual() usual {
	if m.n < 2 {
		return usual{n: m.n}
	}
	mean := m.sum / m.n
	return usual{m.n, mean, max(0, m.squares/m.n-square(mean)) / (m.n - 1)}
}

// fade makes all but the newest of the calls count as stale ones.
func (m *moments) fade(newest moments) {
	m.n = newest.n + float64(staleShare*(m.n-newest.n))
	m.sum = newest.sum + float64(staleShare*(m.sum-newest.sum))
	m.squares = newest.squares + float64(staleShare*(m.squares-newest.squares))
}

// detectShifts goes through the epochs of the last hours as if they came in
// now, so that the changes found do not depend on when rows arrived.
func (p *picture) detectShifts() {
	p.shifts = make([][]shift, len(p.arms))
	from := centralcloud.EpochOf(p.now) - watchedFor
	byEpoch := make([][]observation, (centralcloud.EpochOf(p.now+skew)-from)/centralcloud.EpochSeconds+1)
	for a := range p.arms {
		for e := range byEpoch {
			byEpoch[e] = byEpoch[e][:0]
		}
		p.observe(a, from, byEpoch)
		p.shifts[a] = p.watch(byEpoch, from)
	}
}

// observation is what an epoch adds to a task.
type observation struct {
	task int
	span *span
}

// observe sorts what is known of an arm by epoch, from a time on.
func (p *picture) observe(arm int, from int64, byEpoch [][]observation) {
	for t, c := range p.cells(arm) {
		spans := c.epochs.between(from, p.now+skew)
		for i := range spans {
			if s := &spans[i]; s.judged > 0 {
				e := (s.start - from) / centralcloud.EpochSeconds
				byEpoch[e] = append(byEpoch[e], observation{t, s})
			}
		}
	}
}

func (p *picture) watch(byEpoch [][]observation, from int64) []shift {
	var shifts []shift
	past := newPast(len(p.tasks))
	var last [len(windows)]*window
	for i, epochs := range windows {
		last[i] = newWindow(epochs, len(p.tasks))
	}
	for e, observations := range byEpoch {
		past.add(observations)
		alarmed := false
		for _, w := range last {
			w.slide(byEpoch, e)
			alarmed = alarmed || w.n >= fewest && len(observations) > 0 && math.Abs(w.evidence(past)) > alarm
		}
		if !alarmed {
			continue
		}
		since, found := p.onset(byEpoch, e, past)
		found.at = from + int64(max(0, e-since.epochs+1))*centralcloud.EpochSeconds
		shifts = append(shifts, found)
		past.fade(since)
	}
	return shifts
}

// onset finds when a change began that was noticed in an epoch: the window in
// which it shows best.
func (p *picture) onset(byEpoch [][]observation, noticed int, past *past) (best *window, found shift) {
	w := newWindow(0, len(p.tasks))
	for e := noticed; e >= max(0, noticed-onsetFor); e-- {
		w.epochs++
		for _, o := range byEpoch[e] {
			w.add(o, 1)
		}
		if s := w.describe(past); math.Abs(s.evidence) > math.Abs(found.evidence) {
			best, found = &window{w.epochs, w.n, slices.Clone(w.tasks)}, s
		}
	}
	return best, found
}

// past is all judged calls of an arm until an epoch, by task.
type past struct {
	tasks []moments
	usual []usual
}

// usual is what calls at a task are like: how many there were, their mean, and the
// variance of it for each call that is held against it, once for each other one.
type usual struct{ n, mean, variance float64 }

func newPast(tasks int) *past {
	return &past{tasks: make([]moments, tasks), usual: make([]usual, tasks)}
}

func (p *past) add(observations []observation) {
	for _, o := range observations {
		p.tasks[o.task].add(o.span, 1)
		p.usual[o.task] = p.tasks[o.task].usual()
	}
}

// fade makes what is older than a window count as stale.
func (p *past) fade(since *window) {
	for t := range p.tasks {
		p.tasks[t].fade(since.tasks[t])
		p.usual[t] = p.tasks[t].usual()
	}
}

// window is the last epochs of an arm, by task.
type window struct {
	epochs int
	n      int64
	tasks  []moments
}

func newWindow(epochs, tasks int) *window {
	return &window{epochs: epochs, tasks: make([]moments, tasks)}
}

func (w *window) slide(byEpoch [][]observation, to int) {
	for _, o := range byEpoch[to] {
		w.add(o, 1)
	}
	if gone := to - w.epochs; gone >= 0 {
		for _, o := range byEpoch[gone] {
			w.add(o, -1)
		}
	}
}

func (w *window) add(o observation, sign int64) {
	w.n += sign * o.span.judged
	w.tasks[o.task].add(o.span, float64(sign))
}

// evidence holds the window against all that is older, task by task, so that
// another mix of tasks is no change: the statistic of Cochran, Mantel and
// Haenszel, in standard deviations.
func (w *window) evidence(past *past) float64 {
	var surprise, variance, n float64
	for t := range w.tasks { // very often, so without asking which tasks the window has
		now, usual := &w.tasks[t], &past.usual[t]
		older := usual.n - now.n
		if older < 1 {
			continue
		}
		surprise += now.sum - float64(now.n*usual.mean)
		variance += float64(float64(now.n*older) * usual.variance)
		n += now.n
	}
	if n < fewest || variance < 1 {
		return 0
	}
	return surprise / math.Sqrt(variance)
}

// describe says what changed between all that is older and the window: before
// and after are at the window's mix of tasks.
func (w *window) describe(past *past) shift {
	s := shift{evidence: w.evidence(past), n: w.n}
	var n float64
	for t := range w.tasks {
		now := &w.tasks[t]
		old := past.tasks[t].n - now.n
		if now.n <= 0 || old < 1 {
			continue
		}
		s.from += float64(now.n * (past.tasks[t].sum - now.sum) / old)
		s.to += now.sum
		n += now.n
	}
	if n > 0 {
		s.from, s.to = s.from/n, s.to/n
	}
	return s
}

// driftEvents lists what changed, for people.
func (p *picture) driftEvents(prices Prices) []centralcloud.DriftEvent {
	events := prices.changes(p.now-watchedFor, p.now)
	for a, shifts := range p.shifts {
		for _, s := range shifts {
			events = append(events, centralcloud.DriftEvent{
				Arm: p.arms[a].Arm, Kind: centralcloud.QualityDrift, At: time.Unix(s.at, 0).UTC(),
				From: rounded(s.from, 3), To: rounded(s.to, 3), N: s.n, Evidence: rounded(s.evidence, 2),
			})
		}
	}
	slices.SortStableFunc(events, func(x, y centralcloud.DriftEvent) int { return x.At.Compare(y.At) })
	return events
}
