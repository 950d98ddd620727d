package learner

import (
	"slices"
	"time"

	"singularity/centralcloud"
)

// Ledger keeps the counters that policies are made from. What it holds depends
// on which rows were added, not on their order nor on how often they were. It
// is not safe for concurrent use.
type Ledger struct {
	rows      map[rowKey]entry
	cells     map[cellKey]*cell
	instances map[string]*instance
	spending  series
	floor     int64 // rows of earlier epochs come too late
}

// rowKey is a [centralcloud.Key] in short.
type rowKey struct {
	instance, boot string
	epoch          int64
	cell           *cell
}

// entry is the latest revision of a row, so that the next one can replace it.
type entry struct {
	revision int64
	span     span
	cost     int64
	latency  centralcloud.Sketch
}

type cellKey struct {
	arm    centralcloud.Arm
	task   string
	bucket int
}

// cell is what is known of one arm at one kind of task.
type cell struct {
	cellKey
	epochs  series // of the last day
	hours   series
	latency []hourlyLatency
}

// instance is what one instance reported by arm and task, for comparison with
// the others.
type instance struct {
	tallies  map[cellKey]*series // bucket 0 stands for all
	excluded bool                // its rows are not in the cells
}

const (
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
		cells:     map[cellKey]*cell{},
		instances: map[string]*instance{},
	}
}

// Add counts a row, in place of its earlier revision. It reports whether that
// changed anything: it does not when this revision or a later one is counted
// already, or when the row is so late that it is not known any more whether it is.
func (l *Ledger) Add(row centralcloud.Row) bool {
	if row.Epoch < l.floor {
		return false
	}
	c := l.cell(cellKey{row.Arm, row.TaskType, row.Bucket})
	key := rowKey{row.Instance, row.Boot, row.Epoch, c}
	stored := l.rows[key]
	if row.Revision <= stored.revision {
		return false
	}
	counted := entry{revision: row.Revision, span: spanOf(row.Counters), cost: row.Cost, latency: row.Latency}
	l.rows[key] = counted

	change := counted.span.minus(stored.span)
	from := l.instance(row.Instance)
	from.tally(cellKey{arm: row.Arm, task: row.TaskType}).add(row.Epoch-floorMod(row.Epoch, tallySpan), change)
	l.spending.add(row.Epoch, span{cost: counted.cost - stored.cost})
	if !from.excluded {
		c.add(row.Epoch, change)
		c.addLatency(row.Epoch, stored.latency, -1)
		c.addLatency(row.Epoch, counted.latency, 1)
	}
	return true
}

func (l *Ledger) cell(key cellKey) *cell {
	if l.cells[key] == nil {
		l.cells[key] = &cell{cellKey: key}
	}
	return l.cells[key]
}

func (l *Ledger) instance(name string) *instance {
	if l.instances[name] == nil {
		l.instances[name] = &instance{tallies: map[cellKey]*series{}}
	}
	return l.instances[name]
}

func (i *instance) tally(key cellKey) *series {
	if i.tallies[key] == nil {
		i.tallies[key] = &series{}
	}
	return i.tallies[key]
}

func (c *cell) add(epoch int64, change span) {
	c.epochs.add(epoch, change)
	c.hours.add(epoch-floorMod(epoch, hour), change)
}

// exclude takes the rows of exactly these instances out of the cells.
func (l *Ledger) exclude(names []string) {
	changed := map[string]int64{}
	for name, from := range l.instances {
		if excluded := slices.Contains(names, name); excluded != from.excluded {
			from.excluded = excluded
			changed[name] = 1
			if excluded {
				changed[name] = -1
			}
		}
	}
	if len(changed) == 0 {
		return
	}
	for key, stored := range l.rows {
		if sign := changed[key.instance]; sign != 0 {
			key.cell.add(key.epoch, stored.span.times(sign))
			key.cell.addLatency(key.epoch, stored.latency, sign)
		}
	}
}

// Forget drops what no policy at this time or later looks at. From then on,
// rows of epochs more than a day before it are refused.
func (l *Ledger) Forget(now time.Time) {
	l.floor = max(l.floor, now.Unix()-remembered)
	for key := range l.rows {
		if key.epoch < l.floor {
			delete(l.rows, key)
		}
	}
	for key, c := range l.cells {
		c.epochs.forget(l.floor)
		c.hours.forget(now.Unix() - forgotten)
		c.forgetLatency(l.floor)
		if len(c.hours) == 0 {
			delete(l.cells, key)
		}
	}
	for name, from := range l.instances {
		for key, tally := range from.tallies {
			if tally.forget(l.floor); len(*tally) == 0 {
				delete(from.tallies, key)
			}
		}
		if len(from.tallies) == 0 {
			delete(l.instances, name)
		}
	}
	l.spending.forget(l.floor)
}

func floorMod(x, y int64) int64 { return (x%y + y) % y }
