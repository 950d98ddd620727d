package workflow

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unique makes a start give way to an earlier one whose run has the same of all
// that By names. The zero value lets it be.
//
// Only runs that were started with it count, and a run that failed, was
// cancelled or quarantined makes way for others.
type Unique struct {
	By UniqueBy
	// Within is for how long after it was stored the run counts, on the clock of
	// the database, whether or not it has completed by then; at most for as long as
	// completed runs are kept. Defaults to WhileUnfinished.
	Within time.Duration
	// OnConflict says what becomes of a start that finds another run in its way.
	// Defaults to Attach.
	OnConflict OnConflict
}

// WhileUnfinished makes a run count for as long as it has not ended.
const WhileUnfinished time.Duration = 0

// UniqueBy is a set of what two runs must have in common for one of them to be
// in the way of the other: ByWorkflow | ByInput, for example.
type UniqueBy uint8

// What runs can have in common.
const (
	ByWorkflow UniqueBy = 1 << iota
	ByQueue
	ByKey // which the start must have then; another input with it is a KeyConflictError
	ByInput
)

var uniqueNames = []string{"workflow", "queue", "key", "input"}

// ParseUniqueBy makes a set of the names of its members: workflow, queue, key
// and input.
func ParseUniqueBy(names ...string) (UniqueBy, error) {
	var by UniqueBy
	for _, name := range names {
		bit := slices.Index(uniqueNames, name)
		if bit < 0 {
			return 0, Invalidf("unique.by", "has %q; expected any of %s", name, strings.Join(uniqueNames, ", "))
		}
		by |= 1 << bit
	}
	return by, nil
}

// String lists the names of the members.
func (by UniqueBy) String() string {
	var names []string
	for bit, name := range uniqueNames {
		if by&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Valid reports whether by has members, and only those that there are.
func (by UniqueBy) Valid() bool { return by != 0 && by < 1<<len(uniqueNames) }

// OnConflict says what becomes of a start that finds another run in its way.
type OnConflict string

const (
	// Attach makes the start one of the run that is there. A run of another
	// workflow is a UniqueError, since its output is another.
	Attach OnConflict = "attach"
	// Reject makes it a UniqueError.
	Reject OnConflict = "reject"
	// Replace cancels the run that is there and starts the new one in its place,
	// in one commit. A run that has begun stays, and is attached to.
	Replace OnConflict = "replace"
)

// OnConflicts lists them all.
var OnConflicts = []OnConflict{Attach, Reject, Replace}

// UniqueError is a start, or the retry of a run, that another run is in the way
// of.
type UniqueError struct {
	Workflow string
	Run      RunID         // the one in the way
	By       UniqueBy      // what they have in common; zero for a retry
	Within   time.Duration // for how long it is in the way once it was stored; zero until it has ended
}

func (e *UniqueError) Error() string {
	switch {
	case e.By == 0:
		return fmt.Sprintf("run %s has taken the place in which a run of workflow %s was unique; wait for its end, or cancel it", e.Run, e.Workflow)
	case e.Within > 0:
		return fmt.Sprintf("run %s has the same %s already, and a run of workflow %s is to be the only one within %s", e.Run, e.By, e.Workflow, e.Within)
	default:
		return fmt.Sprintf("run %s has the same %s already and has not ended; wait for its end, or cancel it", e.Run, e.By)
	}
}
