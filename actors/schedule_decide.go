package actors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"singularity/internal/cron"
	"singularity/persistence"
	"singularity/workflow"
)

// runnable is a schedule's settings with what comes of them on this node.
type runnable struct {
	spec   workflow.ScheduleSpec
	times  cron.Schedule
	insert persistence.Insert // of each run, but for its id and slot
	err    error              // the workflow refuses the input
}

// ready looks at what a schedule starts, which may call the workflow's code.
func (n *Node) ready(schedule workflow.Schedule) (runnable, error) {
	r := runnable{spec: schedule.ScheduleSpec}
	times, err := cron.Parse(schedule.Cron, schedule.TimeZone)
	if err != nil {
		return r, err
	}
	r.times = times.From(schedule.CreatedAt)
	r.insert, r.err = n.scheduledInsert(r.spec)
	return r, nil
}

// scheduledInsert is that of the runs that a schedule starts.
func (n *Node) scheduledInsert(spec workflow.ScheduleSpec) (persistence.Insert, error) {
	m, _, err := n.acceptScheduled(spec, workflow.RunID{})
	if err == nil && m.launch.program.Durability == workflow.Ephemeral {
		err = workflow.Invalid("workflow", "is ephemeral: nothing is stored of a run that a slot could have started")
	}
	return m.insert, err
}

// acceptScheduled checks a start by a schedule. It has no key: each slot has a
// run, though their inputs are the same.
func (n *Node) acceptScheduled(spec workflow.ScheduleSpec, id workflow.RunID) (admit, chan workflow.Run, error) {
	m, ended, err := n.accept(workflow.StartRequest{
		Workflow: spec.Workflow, Input: spec.Input,
		Options: workflow.Options{ID: id, Queue: spec.Queue, Priority: spec.Priority},
	})
	m.insert.Key, m.insert.Schedule = "", spec.Name
	run := &m.launch.activation.Run
	run.Key, run.Schedule = "", spec.Name
	return m, ended, err
}

// fire decides what the schedule starts, unless somebody has changed it.
func (r runnable) fire(view persistence.ScheduleView) (decision persistence.ScheduleDecision) {
	if !sameSpec(view.Schedule.ScheduleSpec, r.spec) {
		return decision
	}
	after := *view.Schedule
	plan := planFiring(&after, r.times, view.Now, view.Busy)
	if plan.last.IsZero() {
		return decision
	}
	decision.Schedule = &after
	after.LastSlot, after.NextSlot, after.LastError = &plan.last, plan.next, plan.why
	if r.err != nil {
		after.LastError = errorText(r.err)
		return decision
	}
	for _, slot := range plan.slots {
		insert := r.insert
		insert.Run, insert.Slot = workflow.NewRunID(), slot
		after.LastRun = insert.Run
		decision.Runs = append(decision.Runs, insert)
	}
	return decision
}

// put decides that there is a schedule with these settings from now on. Another
// one of the name is replaced, or refused.
func (r runnable) put(replace bool) persistence.Decide {
	return func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		there := view.Schedule
		switch {
		case there != nil && sameSpec(there.ScheduleSpec, r.spec):
			return persistence.ScheduleDecision{}, nil
		case there != nil && !replace:
			return persistence.ScheduleDecision{}, fmt.Errorf("%w with other settings; delete it first", workflow.ErrScheduleExists)
		}
		after := workflow.Schedule{CreatedAt: view.Now}
		if there != nil {
			after = *there
		}
		after.ScheduleSpec, after.UpdatedAt, after.LastError = r.spec, view.Now, ""
		return armed(after, view.Now, r.times)
	}
}

// armed decides that a schedule goes on with its next slot, unless it is paused.
func armed(after workflow.Schedule, now time.Time, times cron.Schedule) (persistence.ScheduleDecision, error) {
	after.NextSlot = nil
	next, fires := times.From(after.CreatedAt).Next(now)
	if !fires {
		return persistence.ScheduleDecision{}, workflow.Invalidf("cron", "is %q, which never fires: there is no such date", after.Cron)
	}
	if after.PausedAt == nil {
		after.NextSlot = &next
	}
	return persistence.ScheduleDecision{Schedule: &after}, nil
}

// pauseSchedule decides that a schedule fires no more, or goes on from now. The
// slots in between have no runs.
func pauseSchedule(paused bool) persistence.Decide {
	return func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		switch {
		case view.Schedule == nil:
			return persistence.ScheduleDecision{}, workflow.ErrScheduleNotFound
		case paused == (view.Schedule.PausedAt != nil):
			return persistence.ScheduleDecision{}, nil
		}
		after := *view.Schedule
		after.PausedAt, after.UpdatedAt = nil, view.Now
		if paused {
			after.PausedAt = &view.Now
		}
		times, err := cron.Parse(after.Cron, after.TimeZone)
		if err != nil {
			return persistence.ScheduleDecision{}, err
		}
		return armed(after, view.Now, times)
	}
}

func deleteSchedule(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
	if view.Schedule == nil {
		return persistence.ScheduleDecision{}, workflow.ErrScheduleNotFound
	}
	return persistence.ScheduleDecision{Delete: true}, nil
}

func sameSpec(a, b workflow.ScheduleSpec) bool {
	same := bytes.Equal(a.Input, b.Input)
	a.Input, b.Input = nil, nil
	return same && reflect.DeepEqual(a, b)
}

// checkSpec fills what a schedule's settings leave open, and refuses what is
// wrong with them. The input is as the workflow has it afterwards.
func (n *Node) checkSpec(spec workflow.ScheduleSpec) (runnable, error) {
	spec.TimeZone, spec.Queue = cmp.Or(spec.TimeZone, "UTC"), cmp.Or(spec.Queue, "default")
	spec.CatchUp, spec.Overlap = cmp.Or(spec.CatchUp, workflow.CatchUpSkip), cmp.Or(spec.Overlap, workflow.OverlapAllow)
	if len(spec.Input) == 0 {
		spec.Input = json.RawMessage("{}")
	}
	if !workflow.ValidName(spec.Name) {
		return runnable{}, workflow.Invalidf("name", "is %q; expected letters, digits and any of _-. after the first", spec.Name)
	}
	if _, err := cron.Zone(spec.TimeZone); err != nil {
		return runnable{}, workflow.Invalidf("time_zone", "is wrong: %v", err)
	}
	times, err := cron.Parse(spec.Cron, spec.TimeZone)
	if err != nil {
		return runnable{}, workflow.Invalidf("cron", "is wrong: %v", err)
	}
	switch spec.CatchUp {
	case workflow.CatchUpSkip, workflow.CatchUpOne, workflow.CatchUpAll:
	default:
		return runnable{}, workflow.Invalidf("catch_up", "is %q; expected skip, one or all", spec.CatchUp)
	}
	switch spec.Overlap {
	case workflow.OverlapSkip, workflow.OverlapAllow:
	default:
		return runnable{}, workflow.Invalidf("overlap", "is %q; expected skip or allow", spec.Overlap)
	}
	insert, err := n.scheduledInsert(spec)
	if err != nil {
		return runnable{}, err
	}
	spec.Input = insert.Input
	return runnable{spec: spec, times: times, insert: insert}, nil
}
