package memory

import (
	"slices"
	"time"

	"singularity/persistence"
)

// keysOf are the waiting runs of a queue as a limited claim sees them.
type keysOf struct {
	store *Store
	queue *queue
	claim persistence.Claim
	at    time.Time
	known map[persistence.Definition]bool
	taken []*run
}

func (s *Store) claimLimited(w persistence.Claim, at time.Time) ([]*run, persistence.Verdict) {
	q := s.queues[w.Queue]
	switch {
	case q == nil:
		return s.takeDue(w, at), persistence.Verdict{}
	case q.PausedAt != nil:
		return nil, persistence.Verdict{}
	}
	settings := q.QueueSettings.QueueSettings
	room := persistence.RoomIn(settings, w.Limit, s.runningIn(w.Queue), q.bucket, at)
	var verdict persistence.Verdict
	var taken []*run
	if settings.KeyPath == "" {
		within := w
		within.Limit = room.Runs
		taken = s.takeDue(within, at)
		verdict.Left = len(taken) < room.Runs && s.anyDue(w, at, func(*run) bool { return true })
	} else {
		s.giveKeys(q, func(r *run) bool { return !r.keyed })
		keys := &keysOf{store: s, queue: q, claim: w, at: at, known: definitions(w.Known)}
		dealt, err := persistence.Deal(settings, at, q.turn, room.Runs, keys)
		if err != nil {
			panic(err) // nothing here fails
		}
		q.turn, taken = dealt.Turn, keys.taken
		if dealt.Room > 0 {
			verdict.Wait, verdict.Left = dealt.Wait, dealt.Left
		}
	}
	if len(taken) == room.Runs {
		verdict.Wait = room.Wait
	}
	if persistence.QueueRate(settings).Limits() && len(taken) > 0 {
		room.Bucket.Tokens -= float64(len(taken))
		q.bucket = &room.Bucket
	}
	return taken, verdict
}

// takeDue gives due runs to a claim, whatever limits there are.
func (s *Store) takeDue(w persistence.Claim, at time.Time) []*run {
	due := s.due(w, at)
	for _, r := range due {
		s.change(r, func() { r.own(w.Boot, w.ID, at) })
	}
	return due
}

func (s *Store) runningIn(queue string) (running int) {
	for _, r := range s.running {
		if r.Queue == queue {
			running++
		}
	}
	return running
}

// anyDue reports whether any run for which ok holds is due, known or not.
func (s *Store) anyDue(w persistence.Claim, at time.Time, ok func(*run) bool) bool {
	return slices.ContainsFunc(s.waiting[w.Queue], func(r *run) bool {
		return !r.DueAt.After(at) && r.solo() == w.Solo && ok(r)
	})
}

var _ persistence.Keys = (*keysOf)(nil)

// First implements [persistence.Keys].
func (k *keysOf) First() (string, bool, error) { return k.least(func(string) bool { return true }) }

// After implements [persistence.Keys].
func (k *keysOf) After(key string) (string, bool, error) {
	return k.least(func(other string) bool { return other > key })
}

func (k *keysOf) least(ok func(string) bool) (least string, found bool, err error) {
	for _, r := range k.store.waiting[k.queue.Name] {
		if r.solo() == k.claim.Solo && ok(r.LimitKey) && (!found || r.LimitKey < least) {
			least, found = r.LimitKey, true
		}
	}
	return least, found, nil
}

// Running implements [persistence.Keys].
func (k *keysOf) Running(key string) (running int, err error) {
	for _, r := range k.store.running {
		if r.Queue == k.queue.Name && r.LimitKey == key {
			running++
		}
	}
	return running, nil
}

// Bucket implements [persistence.Keys].
func (k *keysOf) Bucket(key string) (*persistence.Bucket, error) { return k.queue.keys[key], nil }

// Keep implements [persistence.Keys].
func (k *keysOf) Keep(key string, bucket persistence.Bucket) error {
	k.queue.keys[key] = &bucket
	return nil
}

// Take implements [persistence.Keys].
func (k *keysOf) Take(key string) (taken, left bool, err error) {
	for _, r := range k.store.waiting[k.queue.Name] {
		if r.LimitKey != key || r.DueAt.After(k.at) || r.solo() != k.claim.Solo {
			continue
		}
		if k.known[r.definition()] {
			k.store.change(r, func() { r.own(k.claim.Boot, k.claim.ID, k.at) })
			k.taken = append(k.taken, r)
			return true, false, nil
		}
		left = true
	}
	return false, left, nil
}
