package centralcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Call is the record that each attempt at a call of a model leaves, successful or
// not, as it is in the database. What nobody knows is nil.
type Call struct {
	Workflow string `json:"workflow,omitempty"` // in whose step it was made
	Step     string `json:"step,omitempty"`
	Attempt  int    `json:"attempt,omitempty"` // at the step, from 1

	Arm
	TaskType string `json:"task_type"`
	Bucket   int    `json:"complexity_bucket"`

	TokensIn     *int64 `json:"tokens_in"`
	TokensOut    *int64 `json:"tokens_out"`
	TokensCached *int64 `json:"tokens_cached"`
	// TokensWritten are those of the request that went into the provider's cache.
	TokensWritten int64  `json:"tokens_cache_written,omitempty"`
	Cost          *int64 `json:"cost_nanodollars"`
	Latency       int64  `json:"latency_us"`

	Finish     string `json:"finish,omitempty"`
	ErrorClass string `json:"error_class,omitempty"` // empty for an answer that its step took
	ErrorPrint string `json:"error_print,omitempty"` // its [Fingerprint]
	Unjudged   bool   `json:"unjudged,omitempty"`    // the step failed over something else than the answer

	InputDigest  string `json:"input_digest,omitempty"`  // of what was asked; see [Seal]
	AnswerDigest string `json:"answer_digest,omitempty"` // of a success

	PolicyVersion string  `json:"policy_version"`
	Propensity    float64 `json:"propensity"`         // with which the arm was chosen
	Fallback      bool    `json:"fallback,omitempty"` // another arm was chosen, the propensity is that one's
}

// DecodeCall reads a record. One that names no model is none.
func DecodeCall(doc []byte) (Call, error) {
	var call Call
	if err := json.Unmarshal(doc, &call); err != nil {
		return call, fmt.Errorf("decode the record of a call: %w", err)
	}
	if call.Provider == "" || call.Model == "" {
		return call, errors.New("the record of a call names no provider or no model")
	}
	return call, nil
}

// whole is one, in the millionths of [Counters].
const whole = 1_000_000

// Counters counts the call. How good its answer was, the scores say that somebody
// gave it later, or else the step that asked: an answer that it took is a success.
func (c Call) Counters(scores Scores) Counters {
	counters := Counters{
		TokensIn: known(c.TokensIn), TokensOut: known(c.TokensOut), Cost: known(c.Cost),
	}
	if c.Attempt > 1 {
		counters.Retries = 1
	}
	if c.Propensity > 0 && c.Propensity <= 1 && !c.Fallback {
		counters.InversePropensity = int64(math.Round(whole / c.Propensity))
	}
	if c.ErrorClass == TimedOut {
		counters.GivenUp = SketchOf(max(c.Latency, 0))
	}
	if c.ErrorClass != "" {
		counters.Errors = map[string]int64{c.ErrorClass: 1}
	}
	if c.ErrorClass != "" && !Answered(c.ErrorClass) {
		return counters
	}
	counters.Calls = 1
	counters.Latency = SketchOf(max(c.Latency, 0))
	switch quality, scored := scores.quality(); {
	case scored:
		counters.judge(quality)
		counters.Scored, counters.ScoredQuality, counters.ScoredSquares = 1, counters.Quality, counters.Squares
	case c.ErrorClass != "":
		counters.judge(0)
	case !c.Unjudged:
		counters.judge(whole)
	}
	return counters
}

// judge notes the quality of the one answer that is counted.
func (c *Counters) judge(quality int64) {
	c.Judged, c.Quality, c.Squares = 1, quality, quality*quality/whole
	if quality >= whole/2 {
		c.Successes = 1
	}
}

// Scores say how good an answer turned out to be: 0 to 1, by name.
type Scores map[string]float64

// quality is the mean of all scores, in millionths.
func (s Scores) quality() (quality int64, scored bool) {
	for _, score := range s {
		quality += int64(math.Round(whole * min(max(score, 0), 1)))
	}
	if n := int64(len(s)); n > 0 {
		return quality / n, true
	}
	return 0, false
}

func known(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
