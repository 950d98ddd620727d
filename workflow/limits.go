package workflow

// Limits of what one run may store. Beyond them a start is refused, or a step
// fails for good, with a [LimitError]; nothing is cut short.
const (
	MaxInput  = 1 << 20  // bytes of a run's input
	MaxState  = 1 << 20  // bytes of the state after one step, and of the output
	MaxReport = 1 << 20  // bytes of all that one attempt records, sends and sums up
	MaxError  = 64 << 10 // bytes of a stored error text; longer ones are cut, with a note
	MaxSteps  = 10_000   // checkpoints of one run, the turns of its loops included
	MaxName   = 128      // bytes of the name of a workflow, step, queue or agent
	MaxKey    = 512      // bytes of a key
	MaxTags   = 16       // of a run
	MaxStarts = 10_000   // runs that one call starts
)

// MostCounted is where the counts of what waits in a queue end: so many are so
// many or more.
const MostCounted = 100_000
