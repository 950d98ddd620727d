package workflow

import "time"

// Queue is a queue with its settings and what is in it now, over all nodes. What
// waits is counted up to [MostCounted]; whether a run that is due later waits for
// its next attempt, a store may look up for the next ten thousand only.
type Queue struct {
	Name     string        `json:"name"`
	PausedAt *time.Time    `json:"paused_at,omitempty"` // nil while it is not paused
	Settings QueueSettings `json:"settings"`
	Slots    int           `json:"slots"` // how many runs run at once on the node that was asked; 0 where none do
	// Kept is for how long the node that was asked keeps runs that have ended, by their
	// state: as Settings say, or as the node was told.
	Kept map[State]time.Duration `json:"-"`
	// New: nobody knew of the queue before it was set, paused or resumed just now: no
	// node worked it, no run was in it, and nothing was said of it.
	New bool `json:"-"`

	Available int           `json:"available"` // due, and waiting for a slot
	Running   int           `json:"running"`
	Scheduled int           `json:"scheduled"` // due later
	Retryable int           `json:"retryable"` // between two attempts
	Oldest    time.Duration `json:"-"`         // for how long the first of those available has been due; 0 for none
}

// QueueSettings are the limits of a queue. Zero means none.
type QueueSettings struct {
	// NodeLimit is how many runs of the queue run at once on each node; zero leaves
	// it to the node's own configuration.
	NodeLimit int `json:"node_limit,omitempty"`
	// GlobalLimit is how many run at once on all nodes together.
	GlobalLimit int `json:"global_limit,omitempty"`
	// KeyPath says where in a run's input its key for the limits below is, as
	// tenant or user.id or items[0].sku. Runs in which there is none share the
	// empty key. Keys take turns.
	KeyPath string `json:"key_path,omitempty"`
	// KeyLimit is how many runs with the same key run at once on all nodes.
	KeyLimit int `json:"key_limit,omitempty"`
	// Rate is how many runs begin a second on all nodes together, on average, and
	// Burst how many may begin at once after a pause; it defaults to 1 or Rate,
	// whichever is more. In t seconds no more than Burst + Rate x t runs begin,
	// however many nodes there are.
	Rate  float64 `json:"rate,omitempty"`
	Burst int     `json:"burst,omitempty"`
	// KeyRate and KeyBurst are the same for the runs with one key.
	KeyRate  float64 `json:"key_rate,omitempty"`
	KeyBurst int     `json:"key_burst,omitempty"`
	// RetainCompleted is for how many seconds completed and cancelled runs are kept,
	// and RetainFailed failed and quarantined ones; zero leaves it to the nodes' own
	// configuration.
	RetainCompleted int `json:"retain_completed_seconds,omitempty"`
	RetainFailed    int `json:"retain_failed_seconds,omitempty"`
}

// Limited reports whether more than the slots of a node limit the queue, or keys
// take turns in it.
func (s QueueSettings) Limited() bool {
	return s.KeyPath != "" || s.GlobalLimit > 0 || s.KeyLimit > 0 || s.Rate > 0 || s.KeyRate > 0
}

// QueueChange says what to change of a queue's settings: what is nil stays as it
// is, and a zero takes a limit away.
type QueueChange struct {
	NodeLimit, GlobalLimit, KeyLimit, Burst, KeyBurst *int
	RetainCompleted, RetainFailed                     *int
	KeyPath                                           *string
	Rate, KeyRate                                     *float64
}
