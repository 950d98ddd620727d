package workflow

import "time"

// Batch is what a call of [BulkEngine.StartBatch] says of the batch to which it
// adds runs. A large batch is started by several calls: pages.
type Batch struct {
	// ID names the batch: letters, digits and any of _-. after the first.
	ID string
	// OnEnd is the workflow of which one run is started once all runs of the batch
	// have ended. Its input is a [BatchEnd]. All pages have the same; empty for none.
	OnEnd string
	// Last says that no more runs come: the batch does not end before. A page with
	// Last may be without runs.
	Last bool
}

// BatchStatus is a batch as it stands.
type BatchStatus struct {
	ID       string `json:"id"`
	OnEnd    string `json:"on_end,omitempty"`
	OnEndRun RunID  `json:"on_end_run,omitzero"` // of OnEnd, once the batch has ended

	CreatedAt time.Time  `json:"created_at"`
	ClosedAt  *time.Time `json:"closed_at,omitempty"` // since when no more runs come; nil while it is open
	EndedAt   *time.Time `json:"ended_at,omitempty"`

	// Total is how many runs were started in it, and States how many of them are in
	// each state. Ended runs are kept for a limited time, so that these may be fewer.
	Total  int           `json:"total"`
	States map[State]int `json:"states"`
}

// BatchEnd says how the runs of a batch ended. It is the input of the workflow
// that is started then.
type BatchEnd struct {
	Batch       string `json:"batch"`
	Total       int    `json:"total"`
	Completed   int    `json:"completed"`
	Failed      int    `json:"failed"`
	Cancelled   int    `json:"cancelled"`
	Quarantined int    `json:"quarantined"`
}

// Count adds runs that ended in a state.
func (e *BatchEnd) Count(state State, runs int) {
	e.Total += runs
	switch state {
	case Completed:
		e.Completed += runs
	case Failed:
		e.Failed += runs
	case Cancelled:
		e.Cancelled += runs
	case Quarantined:
		e.Quarantined += runs
	}
}
