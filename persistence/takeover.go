package persistence

import "time"

// Takeover is the end of a boot that others declared dead, and what became of
// the runs that it had. Its times are the database's, as far as the database
// saw the moment itself.
type Takeover struct {
	Boot     BootID
	Instance string // the label of the dead boot
	// Judge is the boot that declared it dead; empty when that was a process that
	// had not joined yet.
	Judge BootID
	// DetectedBy is what drew attention to the boot: one of the constants below,
	// or the word of others, such as gossip.
	DetectedBy  string
	Ground      Ground
	SuspectedAt time.Time
	DeclaredAt  time.Time
	Released    int        // of its runs, to be run elsewhere
	Quarantined int        // of its runs
	ClaimedAt   *time.Time // when the first of its runs had an owner again, if that was seen
	ResumedAt   *time.Time // when the first of its runs had a new entry in its history, if that was seen
}

// What draws attention to a dead boot without the word of others.
const (
	ByRenewal = "renewal" // its lock was found free by the renewal of another boot
	ByLease   = "lease"   // its lease was over
	ByJoin    = "join"    // a new process wanted its label
	ByLock    = "lock"    // a new process got the lock on its data
)

// MaxTraced is how many runs of a takeover are followed until they go on: those
// that are claimed first.
const MaxTraced = 32
