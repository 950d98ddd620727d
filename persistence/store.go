// Package persistence says what a node needs of a database: the nouns that are
// stored and the interfaces that keep them. Each folder below it is one
// implementation, and all of them pass the one suite in storetest.
//
// What changes runs goes through [Committer.Commit], in batches that the journal
// makes: a batch is one transaction. Only [Bulk] and [Batches] add many at once.
// Beside it, [Membership] and [Deadlines] change runs that nobody runs. The others
// read, or change what is not a run.
//
// A run's row has one owner at a time, named by (boot, epoch). Each change of
// hands raises the epoch, and every write of an owner carries the epoch and
// the sequence number that it knows; a store refuses it with [ErrFenced] when
// either is stale. The refusal must happen in the writing statement itself: a
// separate check does not exclude a change between the check and the write.
package persistence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"singularity/workflow"
)

// Store is a database that keeps runs. Its methods are safe for concurrent
// use and return when ctx ends.
type Store interface {
	Committer
	Bulk
	Batches
	Deadlines
	Reader
	Membership
	Retention
	Agents
	Tokens
	Budgets
	Queues
	Schedules
	Records
	Scores
	Learnings
	Secrets
	Close() error
}

// Committer changes runs.
type Committer interface {
	// Commit applies a batch of writes in one transaction and returns a verdict
	// for each, in their order. No two writes of a batch may name the same run.
	//
	// An error means that the batch as a whole did not land, with one
	// exception: an error that wraps workflow.ErrOutcomeUnknown leaves open
	// whether it did, and the batch may be committed again to find out, since
	// each write that landed is recognised. ErrBadWrite says that one write of
	// the batch can never be stored, and ErrContended that one has to wait; the
	// caller finds it by splitting the batch. Errors that wrap
	// workflow.ErrUnavailable may pass, with time or with more disk.
	Commit(ctx context.Context, batch []Write) ([]Verdict, error)
}

// Errors of a store. Errors that callers of an engine see are in package
// workflow.
var (
	// ErrFenced: the write's owner, epoch or sequence number is not the row's.
	// Somebody else has the run now; nothing was written.
	ErrFenced = errors.New("fenced: the run has another owner, epoch or sequence")
	// ErrBadWrite: a value cannot be stored, whenever it is tried.
	ErrBadWrite = errors.New("value cannot be stored")
	// ErrSchemaMissing: the database lacks migrations that this program needs.
	ErrSchemaMissing = errors.New("the database lacks the schema that this program needs; run `singularity migrate up`, or start with --migrate")
	// ErrContended: somebody else's open transaction holds a row or a key that one
	// write of the batch needs, and has not let it go in time. Nothing landed.
	ErrContended = fmt.Errorf("%w: an open transaction holds the run or its key", workflow.ErrUnavailable)
	// ErrSchemaNewer: the database was migrated by a newer version of this program.
	ErrSchemaNewer = errors.New("the database has a newer schema than this program knows")
	// ErrInstanceTaken: another living process has the instance's label.
	ErrInstanceTaken = errors.New("another living process has this instance id")
	// ErrAgentTaken: another boot that lives is the agent's home.
	ErrAgentTaken = errors.New("the agent lives on another node")
	// ErrLocked: another process has the database open.
	ErrLocked = errors.New("the database is open in another process")
)

// Reader reads runs.
type Reader interface {
	// Run returns a run with its input and output, or workflow.ErrRunNotFound.
	Run(ctx context.Context, id workflow.RunID) (workflow.Run, error)
	// Runs lists runs without their documents, newest first (by id). A page is not
	// full when there are no more, or when about MaxLookedThrough were looked
	// through for it.
	Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error)
	// Steps returns a run's history by sequence, or workflow.ErrRunNotFound.
	Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error)
	// Owned lists the running runs that boot owns.
	Owned(ctx context.Context, boot BootID) ([]workflow.RunID, error)
	// Backlog sums up, for each queue that has any, the runs of the known
	// definitions which wait to be claimed.
	Backlog(ctx context.Context, known []Definition) ([]Backlog, error)
}

// PageSize is how many runs [Reader.Runs] returns at most for a filter's Limit.
func PageSize(limit int) int {
	const usual, most = 100, 1000
	if limit <= 0 {
		return usual
	}
	return min(limit, most)
}

// MaxLookedThrough is how many runs a store looks through for one page, at most:
// a page takes as long where nothing is selected as where everything is.
const MaxLookedThrough = 100_000

// FullPage is a page that ended because it was full, or because there are no more
// runs.
func FullPage(runs []workflow.Run, limit int) workflow.Page {
	page := workflow.Page{Runs: runs}
	if len(runs) == limit {
		page.Next = runs[limit-1].ID
	}
	return page
}

// Folded is text as it is compared where the case of its letters A to Z does not
// matter.
func Folded(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

// Definition names one version of a workflow.
type Definition struct {
	Workflow string
	Version  int
}

// Backlog is what waits in one queue.
type Backlog struct {
	Queue string
	// Due: at least one run can be claimed now, beside others.
	Due bool
	// Solo: at least one run can be claimed now that has to run alone.
	Solo bool
	// Next is how long it takes, on the clock of the store, until the earliest run
	// becomes due that is not yet; zero for none.
	Next time.Duration
}
