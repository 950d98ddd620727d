package learner

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"singularity/centralcloud"
)

// Ledger keeps the counters that policies are made from. What it holds depends
// on which rows were added, not on their order nor on how often they were. It
// is not safe for concurrent use.
type Ledger struct {
	rows      map[rowKey]entry
	kinds     map[kindKey]*kind
	arms      map[centralcloud.Arm][]*kind // by task
	instances map[string]*instance
	spending  series
	floor     int64 // rows of earlier epochs come too late
}

// rowKey is a [centralcloud.Key] in short.
type rowKey struct {
	instance *instance
	boot     string
	epoch    int64
	kind     *kind
	bucket   int
}

// entry is the latest revision of a row, so that the next one can replace it.
type entry struct {
	revision int64
	rescored int64
	span     span
	cost     int64
	latency  centralcloud.Sketch
	givenUp  centralcloud.Sketch
}

type kindKey struct {
	arm  centralcloud.Arm
	task string
}

// kind is what is known of one arm at one kind of task.
type kind struct {
	kindKey
	cells   [buckets]cell
	latency latency
	givenUp latency // how long those were waited for that did not come
	tallies []tally
}

// cell is the part of a kind in one bucket.
type cell struct {
	epochs series // of the last day
	hours  series
}

// instance is one whose rows arrived.
type instance struct {
	name     string
	excluded bool // its rows are not in the cells
}

// tally is what one instance reported, for comparison with the others.
type tally struct {
	instance *instance
	series   series
}

const (
	buckets = 3

	hour = 3600
	// remembered is how long epochs are kept apart, and how late a row may be.
	remembered = 24 * hour
	// forgotten is the age at which counters are no longer looked at.
	forgotten = 30 * 24 * hour
	// tallySpan is the resolution of the comparison of instances.
	tallySpan = 300
)

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{
		rows:      map[rowKey]entry{},
		kinds:     map[kindKey]*kind{},
		arms:      map[centralcloud.Arm][]*kind{},
		instances: map[string]*instance{},
	}
}

// Add counts a row, in place of its earlier revision. It reports whether that
// changed anything: it does not when this revision or a later one is counted
// already, when the row is so late that it is not known any more whether it is,
// or when it cannot be true.
func (l *Ledger) Add(row centralcloud.Row) bool {
	if row.Epoch < l.floor || row.Bucket < 0 || row.Bucket >= buckets || !row.Plausible() {
		return false
	}
	k, from := l.kind(kindKey{row.Arm, row.TaskType}), l.instance(row.Instance)
	key := rowKey{from, row.Boot, row.Epoch, k, row.Bucket}
	stored := l.rows[key]
	if !row.Newer(centralcloud.Row{Revision: stored.revision, Rescored: stored.rescored}) {
		return false
	}
	counted := entry{
		revision: row.Revision, rescored: row.Rescored, span: spanOf(row.Counters),
		cost: row.Cost, latency: row.Latency, givenUp: row.GivenUp,
	}
	l.rows[key] = counted

	change := counted.span.minus(stored.span)
	k.tally(from).add(row.Epoch-floorMod(row.Epoch, tallySpan), change)
	l.spending.add(row.Epoch, span{cost: counted.cost - stored.cost})
	if !from.excluded {
		k.cells[row.Bucket].add(row.Epoch, change)
		k.latency.add(row.Epoch, stored.latency, -1)
		k.latency.add(row.Epoch, counted.latency, 1)
		k.givenUp.add(row.Epoch, stored.givenUp, -1)
		k.givenUp.add(row.Epoch, counted.givenUp, 1)
	}
	return true
}

func (l *Ledger) kind(key kindKey) *kind {
	k := l.kinds[key]
	if k == nil {
		k = &kind{kindKey: key}
		l.kinds[key] = k
		kinds := l.arms[key.arm]
		i, _ := slices.BinarySearchFunc(kinds, key.task, func(k *kind, task string) int { return cmp.Compare(k.task, task) })
		l.arms[key.arm] = slices.Insert(kinds, i, k)
	}
	return k
}

func (l *Ledger) instance(name string) *instance {
	if l.instances[name] == nil {
		l.instances[name] = &instance{name: name}
	}
	return l.instances[name]
}

func (k *kind) tally(from *instance) *series {
	for i := range k.tallies {
		if k.tallies[i].instance == from {
			return &k.tallies[i].series
		}
	}
	k.tallies = append(k.tallies, tally{instance: from})
	return &k.tallies[len(k.tallies)-1].series
}

func (c *cell) add(epoch int64, change span) {
	c.epochs.add(epoch, change)
	c.hours.add(epoch-floorMod(epoch, hour), change)
}

// exclude takes the rows of exactly these instances out of the cells.
func (l *Ledger) exclude(excluded []*instance) {
	changed := map[*instance]int64{}
	for _, from := range l.instances {
		if now := slices.Contains(excluded, from); now != from.excluded {
			from.excluded = now
			changed[from] = 1
			if now {
				changed[from] = -1
			}
		}
	}
	if len(changed) == 0 {
		return
	}
	for key, stored := range l.rows {
		if sign := changed[key.instance]; sign != 0 {
			key.kind.cells[key.bucket].add(key.epoch, stored.span.times(sign))
			key.kind.latency.add(key.epoch, stored.latency, sign)
			key.kind.givenUp.add(key.epoch, stored.givenUp, sign)
		}
	}
}

// Forget drops what no policy at this time or later looks at. From then on,
// rows of epochs more than a day before it are refused.
func (l *Ledger) Forget(now time.Time) {
	l.floor = max(l.floor, now.Unix()-remembered)
	maps.DeleteFunc(l.rows, func(key rowKey, _ entry) bool { return key.epoch < l.floor })
	seen := map[*instance]bool{}
	for arm, kinds := range l.arms {
		l.arms[arm] = slices.DeleteFunc(kinds, func(k *kind) bool {
			empty := k.forget(l.floor, now.Unix()-forgotten)
			if empty {
				delete(l.kinds, k.kindKey)
			}
			for _, t := range k.tallies {
				seen[t.instance] = true
			}
			return empty
		})
	}
	maps.DeleteFunc(l.instances, func(_ string, from *instance) bool { return !seen[from] })
	l.spending.forget(l.floor)
}

// forget reports whether nothing is left.
func (k *kind) forget(epochs, hours int64) (empty bool) {
	empty = true
	for b := range k.cells {
		k.cells[b].epochs.forget(epochs)
		k.cells[b].hours.forget(hours)
		empty = empty && len(k.cells[b].hours) == 0
	}
	k.latency.forget(epochs)
	k.givenUp.forget(epochs)
	for i := range k.tallies {
		k.tallies[i].series.forget(epochs)
	}
	k.tallies = slices.DeleteFunc(k.tallies, func(t tally) bool { return len(t.series) == 0 })
	return empty
}

func floorMod(x, y int64) int64 { return (x%y + y) % y }
