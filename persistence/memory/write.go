package memory

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

func refused(err error) persistence.Verdict { return persistence.Verdict{Err: err} }

func (s *Store) insert(w persistence.Insert, at time.Time) persistence.Verdict {
	if there := s.runs[w.Run]; there != nil {
		if there.Workflow != w.Workflow || there.inputHash != w.InputHash {
			return refused(&workflow.KeyConflictError{Workflow: w.Workflow, Run: w.Run})
		}
		return s.attached(there)
	}
	var replaced, holder *run
	if w.Unique != nil {
		if replaced, holder = s.makeRoom(w, at); holder != nil {
			existing := s.full(holder)
			return w.Yield(&existing, holder.inputHash[:])
		}
	}
	if holder := s.holders[holding{w.Workflow, w.Key}]; w.Key != "" && w.Unique == nil && holder != nil {
		if holder.inputHash != w.InputHash {
			return refused(&workflow.KeyConflictError{Workflow: w.Workflow, Key: w.Key, Run: holder.ID})
		}
		return s.attached(holder)
	}
	if !w.Slot.IsZero() {
		slot := slotKeyOf(w.Schedule, w.Slot)
		if s.slots[slot] {
			return refused(persistence.ErrSlotTaken)
		}
		s.slots[slot] = true
	}
	r := &run{
		Run: workflow.Run{
			ID: w.Run, Workflow: w.Workflow, Version: w.Version, State: workflow.Available,
			Queue: w.Queue, Priority: w.Priority, Key: w.Key, Step: w.Step,
			Input: bytes.Clone(w.Input), CreatedAt: at, DueAt: at.Add(w.Delay).Truncate(time.Microsecond),
			Tags: slices.Clone(w.Tags), Schedule: w.Schedule, Batch: w.Batch,
		},
		inputHash: w.InputHash,
		unique:    newUnique(w.Unique, at),
	}
	if !w.Due.IsZero() {
		r.DueAt = stored(w.Due)
	}
	if w.Deadline != 0 {
		deadline := r.DueAt.Add(w.Deadline).Truncate(time.Microsecond)
		r.Deadline = &deadline
	}
	if w.LimitKey != nil {
		r.LimitKey, r.keyed = *w.LimitKey, true
	}
	if !w.Slot.IsZero() {
		slot := stored(w.Slot)
		r.Slot = &slot
	}
	owned := false
	switch {
	case r.DueAt.After(at):
		r.State = workflow.Scheduled
	case w.Owner != "" && s.alive(w.Owner):
		owned = true
		r.own(w.Owner, "", at)
	}
	s.runs[r.ID] = r
	s.index(r)
	verdict := persistence.Verdict{Owned: owned, Wait: r.DueAt.Sub(at)}
	if replaced != nil {
		changed := s.bare(replaced)
		verdict.Changed = &changed
	}
	return verdict
}

func (s *Store) attached(r *run) persistence.Verdict {
	existing := s.full(r)
	return persistence.Verdict{Existing: &existing}
}

func (s *Store) claim(w persistence.Claim, at time.Time) persistence.Verdict {
	if !s.alive(w.Boot) {
		return refused(persistence.ErrFenced)
	}
	var verdict persistence.Verdict
	taken := s.claimed(w)
	switch {
	case len(taken) > 0:
	case w.Limited:
		taken, verdict = s.claimLimited(w, at)
	default:
		taken = s.takeDue(w, at)
	}
	for _, r := range taken {
		verdict.Activations = append(verdict.Activations, s.activation(r))
	}
	return verdict
}

// claimed finds what a claim took that landed before.
func (s *Store) claimed(w persistence.Claim) []*run {
	var taken []*run
	for _, r := range s.running {
		if r.boot == w.Boot && r.claim == w.ID {
			taken = append(taken, r)
		}
	}
	slices.SortFunc(taken, byClaim)
	return taken
}

func (s *Store) due(w persistence.Claim, at time.Time) []*run {
	known := definitions(w.Known)
	var due []*run
	last := at.Add(persistence.MaxPriority * perPriority) // what is sorted after it is not due
	for _, r := range s.waiting[w.Queue] {
		if len(due) >= w.Limit || r.sortKey().After(last) {
			break
		}
		if !r.DueAt.After(at) && known[r.definition()] && r.solo() == w.Solo {
			due = append(due, r)
		}
	}
	return due
}

func definitions(list []persistence.Definition) map[persistence.Definition]bool {
	set := make(map[persistence.Definition]bool, len(list))
	for _, definition := range list {
		set[definition] = true
	}
	return set
}

func (r *run) definition() persistence.Definition {
	return persistence.Definition{Workflow: r.Workflow, Version: r.Version}
}

func (s *Store) advance(w persistence.Advance, at time.Time) persistence.Verdict {
	r := s.runs[w.Run]
	switch {
	case r == nil:
		return refused(persistence.ErrFenced)
	case !r.admits(w.Fence) && r.landed(w):
		return persistence.Verdict{}
	case !r.admits(w.Fence):
		return refused(persistence.ErrFenced)
	}
	s.change(r, func() {
		r.seq++
		r.Step, r.Turn, r.Attempt = w.Step, w.Turn, w.Attempt
		r.Error, r.Reason = w.Error, w.Reason
		if w.Entry != nil {
			r.Crashes = 0
			s.record(r, w, at)
		}
		switch w.State {
		case workflow.Completed, workflow.Failed, workflow.Cancelled:
			r.end(w.State, at)
		case workflow.Available, workflow.Retryable, workflow.Waiting:
			r.released = release{w.Boot, w.Epoch, r.seq}
			r.disown(w.State)
		}
		if w.State == workflow.Retryable {
			r.DueAt = at.Add(w.Delay).Truncate(time.Microsecond)
			if r.Deadline != nil && r.Deadline.Before(r.DueAt) {
				r.DueAt = *r.Deadline
			}
		}
	})
	if r.State.Terminal() && w.Summary != nil {
		s.summarize(r, *w.Summary, at)
	}
	if w.Entry != nil {
		for _, message := range w.Entry.Messages {
			s.inbox.add(message, at)
		}
	}
	return persistence.Verdict{}
}

// admits reports whether the fence's owner has r and knows where it stands.
func (r *run) admits(fence persistence.Fence) bool {
	return r.State == workflow.Running && r.boot == fence.Boot && r.Epoch == fence.Epoch && r.seq == fence.Seq
}

// landed reports whether w is in r's history, or is r's end or last release,
// although r has moved on since.
func (r *run) landed(w persistence.Advance) bool {
	seq := w.Seq + 1
	if w.Entry != nil {
		return slices.ContainsFunc(r.history, func(line line) bool {
			return line.Seq == seq && line.Epoch == w.Epoch && line.boot == w.Boot
		})
	}
	ended := r.State == w.State && r.boot == w.Boot && r.Epoch == w.Epoch && r.seq == seq
	return ended || r.released == release{w.Boot, w.Epoch, seq}
}

// record adds the entry of w to the history of r.
func (s *Store) record(r *run, w persistence.Advance, at time.Time) {
	entry := w.Entry
	if entry.Output != nil {
		r.Output = bytes.Clone(entry.Output)
	}
	added := line{
		StepRun: workflow.StepRun{
			Seq: r.seq, Step: entry.Step, Turn: entry.Turn, Attempt: entry.Attempt,
			Outcome: entry.Outcome, Epoch: w.Epoch, State: bytes.Clone(entry.State), Error: entry.Error,
			StartedAt: stored(entry.StartedAt), FinishedAt: stored(entry.FinishedAt),
		},
		boot:     w.Boot,
		summary:  clonePointer(entry.Summary),
		storedAt: at,
	}
	for _, fact := range entry.Facts {
		added.Facts = append(added.Facts, workflow.Fact{Kind: fact.Kind, Doc: bytes.Clone(fact.Doc), At: stored(fact.At)})
	}
	r.history = append(r.history, added)
}

func (s *Store) reactivate(w persistence.Reactivate) persistence.Verdict {
	r := s.running[w.Run]
	if r == nil || r.boot != w.Boot {
		return refused(persistence.ErrFenced)
	}
	r.Epoch++
	return persistence.Verdict{Activations: []persistence.Activation{s.activation(r)}}
}

func (s *Store) cancel(w persistence.Cancel, at time.Time) persistence.Verdict {
	r := s.runs[w.Run]
	switch {
	case r == nil:
		return refused(workflow.ErrRunNotFound)
	case r.State == workflow.Cancelled:
	case r.State.Terminal():
		return refused(fmt.Errorf("%w: the run has %s", workflow.ErrWrongState, r.State))
	default:
		s.change(r, func() {
			r.disown(workflow.Cancelled)
			r.end(workflow.Cancelled, at)
			r.Reason = w.Reason
		})
	}
	changed := s.bare(r)
	return persistence.Verdict{Changed: &changed}
}

func (s *Store) retry(w persistence.Retry, at time.Time) persistence.Verdict {
	r := s.runs[w.Run]
	if r == nil {
		return refused(workflow.ErrRunNotFound)
	}
	switch r.State {
	case workflow.Failed, workflow.Cancelled, workflow.Quarantined, workflow.Waiting:
	default:
		return refused(fmt.Errorf("%w: the run is %s", workflow.ErrWrongState, r.State))
	}
	if holder := s.holders[holding{r.Workflow, r.Key}]; r.unique == nil && holder != nil && holder != r {
		return refused(&workflow.KeyConflictError{Workflow: r.Workflow, Key: r.Key, Run: holder.ID})
	}
	if rival := s.rival(r, at); rival != nil {
		return refused(&workflow.UniqueError{Workflow: r.Workflow, Run: rival.ID})
	}
	s.change(r, func() {
		r.disown(workflow.Available)
		r.Attempt, r.Crashes = 0, 0
		r.Error, r.Reason = "", ""
		r.DueAt, r.FinishedAt, r.Deadline = at, nil, nil
	})
	changed := s.bare(r)
	return persistence.Verdict{Changed: &changed}
}
