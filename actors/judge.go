package actors

import (
	"time"

	"singularity/persistence"
)

const (
	// judgeAfter is how long a node's own session must have lasted before it
	// takes the silence of others for their death.
	judgeAfter = 10 * time.Second
	// crashAfter is how long a boot's lock has to be free, without a renewal in
	// between, before the boot is held to have crashed: a living one that lost its
	// connection takes the lock again well before.
	crashAfter = 400 * time.Millisecond
	// overdue is added to the end of a lease before it is looked at again.
	overdue = 10 * time.Millisecond
)

// judge decides, on the word of renewals, which other boots are dead. It has
// no clock and no I/O: the same renewals at the same times give the same
// charges. The zero value is ready.
type judge struct {
	free map[persistence.BootID]sighting
}

// sighting is since when a boot's lock has been free, as far as was seen.
type sighting struct {
	renewals int64
	since    time.Time
}

// weigh returns the charges against boots that are dead by now, and when to
// look again; zero: not before the next renewal.
func (j *judge) weigh(now time.Time, found persistence.Renewal) (charges []persistence.Charge, again time.Duration) {
	before := j.free
	j.free = map[persistence.BootID]sighting{}
	if found.Unbroken < judgeAfter {
		return nil, 0
	}
	sooner := func(delay time.Duration) {
		if again == 0 || delay < again {
			again = delay
		}
	}
	for _, s := range found.Suspects {
		seen, known := before[s.Boot]
		if !known || seen.renewals != s.Renewals {
			seen = sighting{s.Renewals, now}
		}
		freeFor := now.Sub(seen.since)
		if s.LockFree {
			j.free[s.Boot] = seen
		}
		switch {
		case s.LockFree && (freeFor >= crashAfter || s.Left <= 0):
			charges = append(charges, persistence.Charge{Boot: s.Boot, Ground: persistence.Crashed, Renewals: s.Renewals})
		case s.Left <= 0:
			charges = append(charges, persistence.Charge{Boot: s.Boot, Ground: persistence.Lapsed, Renewals: s.Renewals})
		case s.LockFree:
			sooner(min(crashAfter-freeFor, s.Left+overdue))
		default:
			sooner(s.Left + overdue)
		}
	}
	return charges, again
}
