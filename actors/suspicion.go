package actors

import (
	"math"
	"slices"
	"time"

	"singularity/persistence"
)

// Suspicion is somebody's word that a boot may be dead.
type Suspicion struct {
	Boot persistence.BootID
	// By says what it rests on, such as gossip, stream or refused, for those who
	// read the record of the takeover.
	By string
	// Witness: it was tried whether the boot is there, and its port refused, or
	// answered with the id of another boot.
	Witness bool
}

// Suspect makes the node look at once whether a boot is dead. The database
// decides: without a free lock or a lapsed lease nobody is declared dead. It
// does not block, and does no harm for a boot that lives, has long ended or
// never was, however often it is called.
func (n *Node) Suspect(s Suspicion) {
	if n.shared == nil || !n.started.Load() || s.Boot == n.standing.boot().ID {
		return
	}
	n.system.Root.Send(n.pid("session"), s)
}

const (
	// firstLookAgain is when a boot is looked at again that was suspected and
	// held its lock: who had a stream to it sees its end before the database
	// does. The next delays are twice as long each, until crashAfter has passed.
	firstLookAgain = 2 * time.Millisecond
	// witnessTerm is how long a witness is believed.
	witnessTerm = time.Second
	// suspectedAtOnce is how many boots are suspected at a time, at most. What is
	// wrong with more of them, renewals see.
	suspectedAtOnce = 128
	// looksOutOfTurn is how many renewals suspicions may cause at once, and within
	// the time of one in turn.
	looksOutOfTurn = 20

	atOnce = time.Nanosecond
	never  = time.Duration(math.MaxInt64)
)

// suspicion is what others have said of a boot, and how often it was looked at
// for that.
type suspicion struct {
	by        string // who said it first
	since     time.Time
	witnessed time.Time // last, or zero

	begun    time.Time // of the present looks
	looks    int
	renewals int64 // at the first of them
}

// suspect takes in the word of others, and reports whether to look for it, and
// when.
func (j *judge) suspect(now time.Time, s Suspicion) (delay time.Duration, look bool) {
	word := j.suspected[s.Boot]
	switch {
	case word == nil && len(j.suspected) >= suspectedAtOnce:
		return 0, false
	case word == nil:
		if j.suspected == nil {
			j.suspected = map[persistence.BootID]*suspicion{}
		}
		word, look = &suspicion{by: s.By, since: now}, true
		j.suspected[s.Boot] = word
	default:
		news := s.Witness && !word.witnessedAt(now)
		look = news || now.Sub(word.begun) >= persistence.RenewEvery
	}
	if s.Witness {
		word.witnessed = now
	}
	if look {
		word.begun, word.looks = now, 0
	}
	return j.allowance.wait(now), look
}

// ask begins a look: it lists the boots that the renewal is to report on.
func (j *judge) ask(now time.Time) []persistence.BootID {
	j.allowance.spend(now)
	var boots []persistence.BootID
	for boot := range j.suspected {
		boots = append(boots, boot)
	}
	slices.Sort(boots)
	return boots
}

// news reports whether somebody was suspected since the boots were asked for.
func (j *judge) news(asked []persistence.BootID) bool {
	for boot := range j.suspected {
		if !slices.Contains(asked, boot) {
			return true
		}
	}
	return false
}

// drop forgets suspicions against boots that were asked for and are not alive.
func (j *judge) drop(asked []persistence.BootID, found []persistence.Suspect) {
	for _, boot := range asked {
		if !slices.ContainsFunc(found, func(s persistence.Suspect) bool { return s.Boot == boot }) {
			delete(j.suspected, boot)
		}
	}
}

// lookAfter is when to look again at a boot that holds its lock, for what
// others say. Once it was looked at for long enough a renewal proves them wrong.
func (j *judge) lookAfter(now time.Time, s persistence.Suspect) time.Duration {
	word := j.suspected[s.Boot]
	if word == nil {
		return never
	}
	if word.looks == 0 {
		word.renewals = s.Renewals
	}
	left := crashAfter - now.Sub(word.begun)
	switch {
	case left > 0:
		delay := min(firstLookAgain<<word.looks, left)
		word.looks++
		return delay
	case s.Renewals > word.renewals:
		delete(j.suspected, s.Boot)
		delete(j.seen, s.Boot)
	}
	return never
}

func (w *suspicion) witnessedAt(now time.Time) bool {
	return w != nil && !w.witnessed.IsZero() && now.Sub(w.witnessed) < witnessTerm
}

// allowance bounds the looks that suspicions cause, so that a flood of them is
// none of renewals: so many may come at once, and then one from time to time.
type allowance struct {
	spent time.Time // when all that was spent is there again
}

const lookEvery = persistence.RenewEvery / looksOutOfTurn

// wait is when the next look may be.
func (a *allowance) wait(now time.Time) time.Duration {
	if !a.spent.After(now) {
		return 0
	}
	return max(a.spent.Sub(now)-(looksOutOfTurn-1)*lookEvery, 0)
}

func (a *allowance) spend(now time.Time) {
	if a.spent.Before(now) {
		a.spent = now
	}
	a.spent = a.spent.Add(lookEvery)
}
