package persistence

import (
	"context"
	"encoding/json"
	"time"
)

// Learnings keeps what a hub has taught, for all who use the store.
type Learnings interface {
	// KeepLearnings keeps learnings, all or none, but for those of which there is as
	// high a version already. Version 0 is for one whose version nobody knows: it
	// takes the place of any, under the version of that one.
	KeepLearnings(ctx context.Context, learnings []Learning) error
	// Learnings lists the newest of each type and name, in their order.
	Learnings(ctx context.Context) ([]Learning, error)
}

// Learning is one thing that a hub has taught.
type Learning struct {
	Type     string
	Name     string // within the type; may be empty
	Version  int64
	Document json.RawMessage // nil for one that was withdrawn
	KeptAt   time.Time       // on reading
}
