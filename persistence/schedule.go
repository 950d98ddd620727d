package persistence

import (
	"context"
	"errors"
	"time"

	"singularity/workflow"
)

// Schedules keep when runs are to start by themselves. What a schedule does is
// decided by the caller, on what the store shows of it while nobody else can
// change it, and by the clock of the store.
type Schedules interface {
	// Schedules lists all schedules by name, and tells the time of the store if
	// there are any.
	Schedules(ctx context.Context) ([]workflow.Schedule, time.Time, error)
	// ChangeSchedule does what decide says about the schedule of a name, in one
	// transaction, and returns it as it is then; nil when there is none. An error
	// of decide is returned, and changes nothing. Other processes are told of a
	// change. Decide may be called again, and must not wait.
	ChangeSchedule(ctx context.Context, name string, decide Decide) (*workflow.Schedule, error)
	// FireSchedule is for the slots of a schedule that is there: unlike
	// ChangeSchedule it does nothing, and reports false, if somebody else is at it,
	// and tells nobody. The view is of the schedule as it is afterwards. A run
	// whose slot has one already is left out.
	FireSchedule(ctx context.Context, name string, decide Decide) (after ScheduleView, done bool, err error)
}

// Decide says what to do about a schedule.
type Decide func(ScheduleView) (ScheduleDecision, error)

// ScheduleView is how a schedule stands at a moment.
type ScheduleView struct {
	Schedule *workflow.Schedule // nil when there is none of the name
	Busy     bool               // LastRun has not ended
	Now      time.Time          // on the clock of the store
}

// ScheduleDecision is what is to be done about a schedule. The zero value
// leaves it alone.
type ScheduleDecision struct {
	Schedule *workflow.Schedule // as it is to be from now on; nil: as it is
	Delete   bool
	Runs     []Insert // that begin with it
}

// ErrSlotTaken: the slot of the schedule has started another run.
var ErrSlotTaken = errors.New("the slot has its run")
