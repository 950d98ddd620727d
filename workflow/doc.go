// Package workflow is how durable workflows are written: plain Go functions,
// run in sequence, each finished one a checkpoint. It needs nothing but the
// standard library; package singularity runs what it describes.
//
//	greeting := workflow.Define("greeting", accept, result,
//		workflow.Do("look_up", lookUp),
//		workflow.Do("send", send).Timeout(time.Minute),
//	).Key(func(in Request) string { return in.ID })
//
//	run, err := greeting.Start(ctx, engine, Request{ID: "r1", Name: "Ada"})
//	out, err := run.Wait(ctx)
//
// # The contract
//
// State. A workflow's state S is a plain JSON struct that belongs to the steps;
// callers see the input and the output. Each attempt of a step works on a fresh
// copy of the state as the last finished step left it, as JSON would carry it:
// a failed attempt leaves no trace, unexported fields and those tagged "-" come
// out zero. Stored states are decoded leniently, so fields may be added and
// removed; inputs are decoded strictly, so a misspelt field is refused by name.
//
// Steps. A finished step is one commit: the new state, the next step, what the
// step recorded, the messages it sent. Steps run at least once. When the
// process dies, the run goes on at the step after the last checkpoint, so at
// most the step in flight is repeated; give [Key] along with effects on the
// outside world, it is the same for every repetition. There is no replay:
// bodies may read clocks, throw dice and start goroutines, which must end with
// the body.
//
// Failure. A step that returns an error, panics or exceeds its [Step.Timeout]
// is tried again as its [Step.Retry] says; attempts are counted across crashes.
// [Permanent] ends the run at once, [RetryAfter] sets the next delay. A body
// whose context is cancelled should return; one that does not is waited for
// another 5s and then given up, and its late answer is dropped.
//
// Durability. [Checkpointed] commits every step before the next one begins.
// [Restartable] commits the start and the result, and nothing between unless
// the run waits long; a crash begins it anew. [Ephemeral] commits nothing.
//
// Names. Names of workflows and steps are keys in the store. A run whose next
// step is gone from its version waits, with [ErrStepUnknown] as its reason,
// until the step is back and somebody retries the run; it never guesses. Change
// the steps of a workflow that has unfinished runs by a new [Workflow.Version]
// and register the old one beside it.
//
// Keys. A key is unique in its workflow. A start with a key in use attaches to
// the unfinished run, or gets the completed one's result; with another input it
// is a [KeyConflictError]. Failed, cancelled and quarantined runs free their
// key. A completed run holds its key for as long as it is kept (24h unless
// configured). Starts with [Options] Unique do not heed this: they are unique by
// what that says, among themselves.
//
// Ids. The caller chooses the run id; a start that is repeated with the same
// [Options] ID and input finds the run that the first one made.
//
// Many. [Workflow.StartMany] starts up to 10,000 runs in one transaction, all of
// them or none. What holds of keys and ids holds of each; of two inputs with one
// key the second attaches to the first.
package workflow
