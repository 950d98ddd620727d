package persistence

import (
	"context"
	"fmt"
	"time"

	"singularity/workflow"
)

// Bulk adds many runs at once. It does not pass the journal, whose batches are
// small: what others have under way does not wait for it, as far as the database
// can do two things at a time.
type Bulk interface {
	// InsertAll adds runs in one transaction, all of them or none, and says of each
	// which run there is now. No two may have the same id; of two with the same key
	// the second attaches to the first. Owner is not regarded.
	//
	// A run that cannot be added because its id or key belongs to another one is a
	// *workflow.StartError. Other errors are those of [Committer.Commit].
	InsertAll(ctx context.Context, inserts []Insert) ([]Inserted, error)
}

// Inserted is what became of one of many inserts.
type Inserted struct {
	// Run is the one that was added, or else the one that there was.
	Run      workflow.RunID
	Attached bool
	// Wait is how long an added run has to wait until it is due, on the clock of
	// the store; not positive for one that is.
	Wait time.Duration
}

// CheckAll is [Check] for inserts of [Bulk.InsertAll].
func CheckAll(inserts []Insert) error {
	for _, insert := range inserts {
		if err := Check(insert); err != nil {
			return fmt.Errorf("insert of run %s: %w", insert.Run, err)
		}
	}
	return nil
}
