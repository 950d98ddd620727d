package memory

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// run is a row with its history.
type run struct {
	workflow.Run // as it is read; Owner is made on reading

	inputHash [32]byte
	keyed     bool               // LimitKey was looked for
	boot      persistence.BootID // the owner, also the one that ended the run
	claim     string             // that took it
	seq       int64
	released  release // the last one
	unique    *unique // nil for none
	history   []line
}

// release is the commit by which an owner gave its run back.
type release struct {
	boot       persistence.BootID
	epoch, seq int64
}

// line is one entry of a run's history.
type line struct {
	workflow.StepRun
	boot     persistence.BootID
	summary  *workflow.Summary
	storedAt time.Time
	rescored map[int]rescored // by the number of the fact
}

// holding is a key in use.
type holding struct{ workflow, key string }

// slotKey is a slot of a schedule.
type slotKey struct {
	schedule string
	micros   int64
}

func slotKeyOf(schedule string, slot time.Time) slotKey {
	return slotKey{schedule, slot.UnixMicro()}
}

// holdsKey reports whether another run with r's key is refused.
func (r *run) holdsKey() bool {
	return r.Key != "" && r.unique == nil && r.State != workflow.Failed && r.State != workflow.Cancelled && r.State != workflow.Quarantined
}

func (r *run) claimable() bool {
	return r.State == workflow.Available || r.State == workflow.Scheduled || r.State == workflow.Retryable
}

// solo reports whether r has to run alone.
func (r *run) solo() bool { return r.Crashes >= persistence.MaxCrashes-1 }

// perPriority is how much waiting outweighs a step of priority.
const perPriority = time.Minute

func (r *run) sortKey() time.Time { return r.DueAt.Add(time.Duration(r.Priority) * perPriority) }

// byClaim orders runs as claims take them.
func byClaim(a, b *run) int {
	return cmp.Or(a.sortKey().Compare(b.sortKey()), bytes.Compare(a.ID[:], b.ID[:]))
}

// change applies f to r and keeps the indexes of the store right.
func (s *Store) change(r *run, f func()) {
	s.unindex(r)
	f()
	s.index(r)
}

func (s *Store) index(r *run) {
	if r.holdsKey() {
		s.holders[holding{r.Workflow, r.Key}] = r
	}
	if r.Batch != "" && !r.State.Terminal() {
		s.unended[r.Batch]++
	}
	if r.holdsUnique() {
		s.only[r.unique.key] = r
	}
	switch {
	case r.State == workflow.Running:
		s.running[r.ID] = r
	case r.claimable():
		queue := s.waiting[r.Queue]
		at, _ := slices.BinarySearchFunc(queue, r, byClaim)
		s.waiting[r.Queue] = slices.Insert(queue, at, r)
	}
}

func (s *Store) unindex(r *run) {
	if r.holdsKey() {
		delete(s.holders, holding{r.Workflow, r.Key})
	}
	if r.Batch != "" && !r.State.Terminal() {
		s.unended[r.Batch]--
	}
	if r.holdsUnique() {
		delete(s.only, r.unique.key)
	}
	switch {
	case r.State == workflow.Running:
		delete(s.running, r.ID)
	case r.claimable():
		queue := s.waiting[r.Queue]
		at, _ := slices.BinarySearchFunc(queue, r, byClaim)
		s.waiting[r.Queue] = slices.Delete(queue, at, at+1)
	}
}

// own gives r to boot, in the next epoch.
func (r *run) own(boot persistence.BootID, claim string, at time.Time) {
	r.State, r.boot, r.claim = workflow.Running, boot, claim
	r.Epoch++
	if r.StartedAt == nil {
		r.StartedAt = &at
	}
}

// disown takes r from whoever has it, in the next epoch.
func (r *run) disown(state workflow.State) {
	r.State, r.boot, r.claim = state, "", ""
	r.Epoch++
}

// end closes r.
func (r *run) end(state workflow.State, at time.Time) {
	r.State, r.FinishedAt = state, &at
}

// bare is r as it is read, without its documents.
func (s *Store) bare(r *run) workflow.Run {
	reading := r.Run
	reading.Input, reading.Output = nil, nil
	reading.Owner = s.label(r.boot)
	reading.StartedAt = clonePointer(r.StartedAt)
	reading.FinishedAt = clonePointer(r.FinishedAt)
	reading.Deadline, reading.Slot = clonePointer(r.Deadline), clonePointer(r.Slot)
	reading.Tags = slices.Clone(r.Tags)
	return reading
}

// full is r as it is read, with its documents.
func (s *Store) full(r *run) workflow.Run {
	reading := s.bare(r)
	reading.Input = bytes.Clone(r.Input)
	reading.Output = bytes.Clone(r.Output)
	return reading
}

func (s *Store) activation(r *run) persistence.Activation {
	found := persistence.Activation{Run: s.full(r), Seq: r.seq}
	found.Run.Output = nil
	if r.Deadline != nil {
		found.Left = time.Until(*r.Deadline)
	}
	for _, line := range slices.Backward(r.history) {
		if found.State == nil {
			found.State = bytes.Clone(line.State)
		}
		if found.Summary == nil {
			found.Summary = clonePointer(line.summary)
		}
	}
	return found
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	clone := *p
	return &clone
}
