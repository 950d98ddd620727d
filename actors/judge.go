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
	// between and without a witness, before the boot is held to have crashed: a
	// living one that lost its connection takes the lock again well before.
	crashAfter = 400 * time.Millisecond
	// overdue is added to the end of a lease before it is looked at again.
	overdue = 10 * time.Millisecond
)

// judge decides, on the word of renewals, which other boots are dead. What
// others suspect makes it look sooner, and is never enough. It has no clock and
// no I/O: the same events at the same times give the same charges. The zero
// value is ready.
type judge struct {
	seen      map[persistence.BootID]sighting
	suspected map[persistence.BootID]*suspicion
	allowance allowance
}

// sighting is what renewals in a row have found of a suspect.
type sighting struct {
	renewals int64
	since    time.Time // it is one
	free     time.Time // since when its lock is free; zero while it is held
}

// see goes on with a sighting, which a renewal of the boot ends.
func (before sighting) see(now time.Time, s persistence.Suspect) sighting {
	seen := before
	if before.since.IsZero() || before.renewals != s.Renewals {
		seen = sighting{renewals: s.Renewals, since: now}
	}
	switch {
	case !s.LockFree:
		seen.free = time.Time{}
	case seen.free.IsZero():
		seen.free = now
	}
	return seen
}

// weigh returns the charges against boots that are dead by now, and when to
// look again; zero: not before the next renewal. The renewal was asked for some
// boots besides.
func (j *judge) weigh(now time.Time, asked []persistence.BootID, found persistence.Renewal) (charges []persistence.Charge, again time.Duration) {
	before := j.seen
	j.seen = map[persistence.BootID]sighting{}
	if found.Unbroken < judgeAfter {
		clear(j.suspected)
		return nil, 0
	}
	j.drop(asked, found.Suspects)
	impatience := never
	for _, s := range found.Suspects {
		seen, word := before[s.Boot].see(now, s), j.suspected[s.Boot]
		j.seen[s.Boot] = seen
		freeFor := time.Duration(0)
		if s.LockFree {
			freeFor = now.Sub(seen.free)
		}
		switch {
		case s.LockFree && (freeFor >= crashAfter || s.Left <= 0 || word.witnessedAt(now)):
			charges = append(charges, charge(now, s, persistence.Crashed, seen, word))
		case s.Left <= 0:
			charges = append(charges, charge(now, s, persistence.Lapsed, seen, word))
		case s.LockFree:
			again = sooner(again, min(crashAfter-freeFor, s.Left+overdue))
		default:
			again = sooner(again, s.Left+overdue)
			impatience = min(impatience, j.lookAfter(now, s))
		}
	}
	if j.news(asked) {
		impatience = atOnce
	}
	if impatience < never {
		again = sooner(again, max(impatience, j.allowance.wait(now)))
	}
	return charges, again
}

// sooner is the shorter of two delays, of which the first may be none yet.
func sooner(again, delay time.Duration) time.Duration {
	if again == 0 {
		return delay
	}
	return min(again, delay)
}

func charge(now time.Time, s persistence.Suspect, ground persistence.Ground, seen sighting, word *suspicion) persistence.Charge {
	c := persistence.Charge{Boot: s.Boot, Ground: ground, Renewals: s.Renewals, DetectedBy: persistence.ByRenewal, SuspectedFor: now.Sub(seen.since)}
	switch {
	case word != nil:
		c.DetectedBy, c.SuspectedFor = word.by, now.Sub(word.since)
	case ground == persistence.Lapsed:
		c.DetectedBy = persistence.ByLease
	}
	return c
}
