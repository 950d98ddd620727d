package actors

import (
	"fmt"
	"time"

	"singularity/internal/cron"
	"singularity/workflow"
)

const (
	// missedAfter is how late a slot may be fired; later, it was missed.
	missedAfter = time.Minute
	// slotsAtOnce is how many slots of a schedule are fired in one transaction.
	slotsAtOnce = 100
)

// firing is what a schedule does at a moment.
type firing struct {
	slots []time.Time // that start a run each
	last  time.Time   // the latest that has passed; zero when none is due
	next  *time.Time  // nil: there is none
	why   string      // the last one starts no run; empty when it does
}

// planFiring says what a schedule does now. Busy says that its last run has not
// ended.
func planFiring(schedule *workflow.Schedule, times cron.Schedule, now time.Time, busy bool) firing {
	plan := firing{next: schedule.NextSlot}
	if schedule.PausedAt != nil || schedule.NextSlot == nil {
		return plan
	}
	plan.catchUp(schedule.CatchUp, times, now.Add(-missedAfter))
	for plan.next != nil && !plan.next.After(now) && len(plan.slots) < slotsAtOnce {
		plan.slots = append(plan.slots, *plan.next)
		plan.pass(*plan.next, times)
	}
	if schedule.Overlap == workflow.OverlapSkip && len(plan.slots) > 0 {
		plan.keepApart(schedule, busy)
	}
	return plan
}

// pass goes on to the slot after one.
func (f *firing) pass(slot time.Time, times cron.Schedule) {
	f.last, f.next, f.why = slot, nil, ""
	if next, fires := times.Next(slot); fires {
		f.next = &next
	}
}

// catchUp passes over the slots before a moment, which were missed, unless all
// of them are to be fired.
func (f *firing) catchUp(policy workflow.CatchUp, times cron.Schedule, before time.Time) {
	first := *f.next
	if policy == workflow.CatchUpAll || !first.Before(before) {
		return
	}
	latest := latestSlot(times, first, before)
	f.pass(latest, times)
	if policy == workflow.CatchUpOne {
		f.slots = append(f.slots, latest)
		return
	}
	f.why = fmt.Sprintf("the slots from %s to %s were missed: no node was there to fire them", first.Format(time.RFC3339), latest.Format(time.RFC3339))
}

// latestSlot is the last slot before a moment, where first is one. It looks
// further and further back: between the two may be millions.
func latestSlot(times cron.Schedule, first, before time.Time) time.Time {
	latest := first
	for span := missedAfter; before.Add(-span).After(first); span *= 2 {
		if slot, fires := times.Next(before.Add(-span)); fires && slot.Before(before) {
			latest = slot
			break
		}
	}
	for {
		next, fires := times.Next(latest)
		if !fires || !next.Before(before) {
			return latest
		}
		latest = next
	}
}

// keepApart leaves out the slots whose run would begin before the one before it
// has ended.
func (f *firing) keepApart(schedule *workflow.Schedule, busy bool) {
	switch {
	case busy:
		f.slots = nil
		f.why = fmt.Sprintf("run %s of an earlier slot had not ended", schedule.LastRun)
	case len(f.slots) > 1:
		f.slots = f.slots[:1]
		f.why = fmt.Sprintf("the run of slot %s had not ended", f.slots[0].Format(time.RFC3339))
	}
}
