package centralcloud

import (
	"cmp"
	"maps"
	"strings"
)

// EpochSeconds is the length of the spans of time by which calls are counted.
const EpochSeconds = 30

// EpochOf returns the epoch of an event: the Unix second in which it began.
func EpochOf(unixSeconds int64) int64 {
	epoch := unixSeconds - unixSeconds%EpochSeconds
	if epoch > unixSeconds {
		epoch -= EpochSeconds
	}
	return epoch
}

// Key says what a row of counters is about: the calls that one boot of an
// instance made in one epoch, for one kind of task, to one arm.
type Key struct {
	Instance string `json:"instance_id"`
	Boot     string `json:"boot_id"`
	Epoch    int64  `json:"epoch"` // see [EpochOf]; by the time of the calls, not of the message
	TaskType string `json:"task_type"`
	Bucket   int    `json:"complexity_bucket"` // 0 to 2
	Arm
}

// Compare orders the keys of one boot by epoch, task type, bucket and arm.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Epoch, other.Epoch), strings.Compare(k.TaskType, other.TaskType), cmp.Compare(k.Bucket, other.Bucket),
		k.Arm.Compare(other.Arm))
}

// Row is what a node says of one key. It is the whole of it and not what was
// added: a later message has the same key, a higher revision and counts that
// include the earlier ones.
type Row struct {
	Key
	Revision int64 `json:"revision"` // the number of records that are counted
	// Rescored is how often scores of these records changed. A row with fewer records
	// is not newer, however high this is: some of them may have been deleted.
	Rescored int64 `json:"rescored,omitempty"`
	Counters
}

// Newer reports whether the row counts more than another one with the same key.
func (r Row) Newer(than Row) bool {
	return r.Revision > than.Revision || r.Revision == than.Revision && r.Rescored > than.Rescored
}

// Counters sums up calls. All of it is whole numbers, so that sums do not
// depend on their order.
type Counters struct {
	Calls int64 `json:"calls"` // that were answered; those that failed are in Errors

	// Judged counts the answers of which somebody said how good they were. Each
	// of them adds its quality, 0 to 1,000,000, to Quality, and the millionth of
	// its square to Squares; the verdict of a step is 0 or 1,000,000. Half and more
	// is a success.
	Judged    int64 `json:"judged"`
	Successes int64 `json:"successes"`
	Quality   int64 `json:"quality_micros"`
	Squares   int64 `json:"quality_squares_micros"`
	// Scored counts those of them that got a score, which took the place of the
	// verdict. Their quality and squares are part of the sums above, too.
	Scored        int64 `json:"scored,omitempty"`
	ScoredQuality int64 `json:"scored_quality_micros,omitempty"`
	ScoredSquares int64 `json:"scored_squares_micros,omitempty"`

	TokensIn  int64 `json:"tokens_in"`
	TokensOut int64 `json:"tokens_out"`
	Cost      int64 `json:"cost_nanodollars"`

	// Errors counts failures by class. Those of [Answered] classes are in Calls
	// too; all others say nothing about the quality of the model.
	Errors map[string]int64 `json:"errors,omitempty"`

	Retries int64 `json:"retries"`
	// InversePropensity sums, in millionths, one by the probability with which
	// the policy chose the arm.
	InversePropensity int64  `json:"inverse_propensity_micros"`
	Latency           Sketch `json:"latency,omitempty"` // of the answers, in microseconds
	// GivenUp is how long calls were waited for that took too long.
	GivenUp Sketch `json:"given_up,omitempty"`
}

// Classes of errors that the learner tells from the others.
const (
	Unparsable = "unparsable" // there was an answer, but not in the form that was asked for
	Refused    = "content"    // the model or its filter would not answer
	Cancelled  = "cancelled"  // the caller gave up
	TimedOut   = "timeout"    // it took too long
)

// Answered reports whether a failure of this class is an answer that was no
// good, and so a matter of quality. Other failures are a matter of
// availability, save for [Cancelled], which is nobody's.
func Answered(class string) bool { return class == Unparsable || class == Refused }

// Unavailable counts the calls that met no answer.
func (c *Counters) Unavailable() int64 {
	var sum int64
	for class, n := range c.Errors {
		if !Answered(class) && class != Cancelled {
			sum += n
		}
	}
	return sum
}

// Plausible reports whether the counters of one row can be true: one that
// cannot must not spoil what is learned from the others.
func (c *Counters) Plausible() bool {
	const most = 1 << 40
	for _, n := range [...]int64{
		c.Calls, c.Judged, c.Successes, c.Quality, c.Squares, c.Scored, c.ScoredQuality, c.ScoredSquares, c.TokensIn, c.TokensOut, c.Cost, c.Retries, c.InversePropensity,
	} {
		if n < 0 || n > most {
			return false
		}
	}
	for _, n := range c.Errors {
		if n < 0 || n > most {
			return false
		}
	}
	plausible := func(n, quality, squares int64) bool {
		return n >= 0 && quality/whole <= n && squares >= 0 && squares <= quality
	}
	return c.Judged <= c.Calls && c.Successes <= c.Judged && plausible(c.Scored, c.ScoredQuality, c.ScoredSquares) &&
		plausible(c.Judged-c.Scored, c.Quality-c.ScoredQuality, c.Squares-c.ScoredSquares)
}

// Merge adds other to c. It changes nothing that c shares with other counters.
func (c *Counters) Merge(other Counters) { c.merge(other, 1) }

// Remove takes away what Merge added.
func (c *Counters) Remove(other Counters) { c.merge(other, -1) }

func (c *Counters) merge(other Counters, sign int64) {
	c.Calls += sign * other.Calls
	c.Judged += sign * other.Judged
	c.Successes += sign * other.Successes
	c.Quality += sign * other.Quality
	c.Squares += sign * other.Squares
	c.Scored += sign * other.Scored
	c.ScoredQuality += sign * other.ScoredQuality
	c.ScoredSquares += sign * other.ScoredSquares
	c.TokensIn += sign * other.TokensIn
	c.TokensOut += sign * other.TokensOut
	c.Cost += sign * other.Cost
	c.Retries += sign * other.Retries
	c.InversePropensity += sign * other.InversePropensity
	c.Latency = c.Latency.Plus(other.Latency, sign)
	c.GivenUp = c.GivenUp.Plus(other.GivenUp, sign)
	if len(other.Errors) == 0 {
		return
	}
	errors := maps.Clone(c.Errors)
	if errors == nil {
		errors = make(map[string]int64, len(other.Errors))
	}
	for class, n := range other.Errors {
		if errors[class] += sign * n; errors[class] == 0 {
			delete(errors, class)
		}
	}
	c.Errors = errors
}
