package workflow

import (
	"encoding/json"
	"time"
)

// ScheduleSpec says what a schedule starts, and when.
type ScheduleSpec struct {
	Name     string `json:"name"`
	Workflow string `json:"workflow"`
	// Cron is an expression of five fields (minute, hour, day of month, month, day
	// of week), of six with seconds before them, @hourly and its like, or @every
	// 90s, which counts from when the schedule was made. Each time that it names is
	// a slot. A slot is an instant: in an hour that comes twice, as clocks are put
	// back, it comes twice, and in one that is left out, not at all.
	Cron string `json:"cron"`
	// TimeZone is that of Cron, as Europe/Berlin. Defaults to UTC.
	TimeZone string `json:"time_zone"`
	// Input is that of every run. Defaults to {}.
	Input json.RawMessage `json:"input"`
	// Queue and Priority are as in [Options].
	Queue    string `json:"queue"`
	Priority int    `json:"priority"`
	// CatchUp says what becomes of slots that were missed. Defaults to skip.
	CatchUp CatchUp `json:"catch_up"`
	// Overlap says what becomes of a slot while the run of the one before goes on.
	// Defaults to allow.
	Overlap Overlap `json:"overlap"`
}

// CatchUp is what a schedule does about slots that were missed: that no node
// was there to fire for more than a minute.
type CatchUp string

// The ways to catch up.
const (
	CatchUpSkip CatchUp = "skip" // start nothing for them
	CatchUpOne  CatchUp = "one"  // start one run, for the latest of them
	CatchUpAll  CatchUp = "all"  // start a run for each of them
)

// Overlap is what a schedule does when a slot comes while the run that it
// started last has not ended.
type Overlap string

// The ways to overlap.
const (
	OverlapSkip  Overlap = "skip"  // start nothing
	OverlapAllow Overlap = "allow" // start a run beside it
)

// Schedule starts runs of a workflow at the times of a cron expression, each of
// them once, however many nodes there are.
type Schedule struct {
	ScheduleSpec
	PausedAt  *time.Time  `json:"paused_at,omitempty"`  // nil while it is not paused
	LastSlot  *time.Time  `json:"last_slot,omitempty"`  // the latest that has passed, whether or not it started a run
	LastRun   RunID       `json:"last_run,omitzero"`    // that it started last
	LastError string      `json:"last_error,omitempty"` // why the last slot started no run
	NextSlot  *time.Time  `json:"next_slot,omitempty"`  // nil while it is paused
	Next      []time.Time `json:"next,omitempty"`       // slots from NextSlot on, where they were asked for
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"` // when somebody changed it
}
