package centralcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Call is the record that each attempt at a call of a model leaves, as it is in
// the database. What nobody knows is nil.
type Call struct {
	Workflow string `json:"workflow,omitempty"`
	Step     string `json:"step,omitempty"`
	Attempt  int    `json:"attempt,omitempty"` // at the step, from 1

	Arm
	TaskType string `json:"task_type"`
	Bucket   int    `json:"complexity_bucket"`

	TokensIn     *int64 `json:"tokens_in"`
	TokensOut    *int64 `json:"tokens_out"`
	TokensCached *int64 `json:"tokens_cached"`
	Cost         *int64 `json:"cost_nanodollars"`
	Latency      int64  `json:"latency_us"`

	Finish     string `json:"finish,omitempty"`
	ErrorClass string `json:"error_class,omitempty"` // empty for a success
	ErrorPrint string `json:"error_print,omitempty"` // its [Fingerprint]

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

// Counters counts the call. Whether an answer was good, its step has said: an
// attempt without an error is a success.
func (c Call) Counters() Counters {
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
	counters.Calls, counters.Judged = 1, 1
	counters.Latency = SketchOf(max(c.Latency, 0))
	if c.ErrorClass == "" {
		counters.Successes, counters.Quality, counters.Squares = 1, whole, whole
	}
	return counters
}

func known(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
