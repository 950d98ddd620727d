package memory

import (
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// unique is the key that a run is to be the only one to hold.
type unique struct {
	key    [32]byte
	until  time.Time // zero while the run has not ended
	lapsed bool      // its time was over
}

func newUnique(u *persistence.Unique, at time.Time) *unique {
	if u == nil {
		return nil
	}
	made := &unique{key: u.Key}
	if u.Within != 0 {
		made.until = at.Add(u.Within).Truncate(time.Microsecond)
	}
	return made
}

// holdsUnique reports whether another run with r's unique key is refused.
func (r *run) holdsUnique() bool {
	return r.unique != nil && !r.unique.lapsed &&
		r.State != workflow.Failed && r.State != workflow.Cancelled && r.State != workflow.Quarantined &&
		(r.State != workflow.Completed || !r.unique.until.IsZero())
}

// lapse takes the unique key from a run whose time is over.
func (s *Store) lapse(r *run, at time.Time) {
	if r != nil && !r.unique.until.IsZero() && !r.unique.until.After(at) {
		s.change(r, func() { r.unique.lapsed = true })
	}
}

// makeRoom takes the unique key of an insert from whoever need not keep it.
// Either run may be nil: the one that the insert replaces, and the one that stays
// in its way.
func (s *Store) makeRoom(w persistence.Insert, at time.Time) (replaced, holder *run) {
	s.lapse(s.only[w.Unique.Key], at)
	holder = s.only[w.Unique.Key]
	if holder == nil || w.Unique.OnConflict != workflow.Replace || holder.StartedAt != nil {
		return nil, holder
	}
	s.change(holder, func() {
		holder.disown(workflow.Cancelled)
		holder.end(workflow.Cancelled, at)
		holder.Reason = persistence.ReplacedBy(w.Run)
	})
	return holder, nil
}

// rival is the other run that holds the unique key which r would hold again; nil
// for none.
func (s *Store) rival(r *run, at time.Time) *run {
	if r.unique == nil {
		return nil
	}
	s.lapse(r, at)
	s.lapse(s.only[r.unique.key], at)
	if holder := s.only[r.unique.key]; holder != r && !r.unique.lapsed {
		return holder
	}
	return nil
}
