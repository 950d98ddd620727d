package patterns

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

// Kind is the rule that made a finding.
type Kind string

// The kinds of findings.
const (
	FailingStep  Kind = "failing_step"  // fails more often than its siblings
	SlowStep     Kind = "slow_step"     // takes longer than its siblings
	NewError     Kind = "new_error"     // was not there before, or is suddenly frequent
	UselessRetry Kind = "useless_retry" // almost never helps
	FitTimeout   Kind = "timeout"       // that all but the last calls are done by

	DuplicateCall Kind = "duplicate_call" // asks what was asked before
)

// Finding is one thing that stands out.
type Finding struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // of the finding: the same as long as it is about the same

	N         int64      `json:"n"`     // calls that it rests on
	Value     float64    `json:"value"` // that was measured
	Interval  [2]float64 `json:"interval"`
	Threshold float64    `json:"threshold"` // that the interval keeps off
	Unit      string     `json:"unit"`      // of all of these

	FirstSeen time.Time `json:"first_seen"`
	MadeAt    time.Time `json:"made_at"`
	Rule      int       `json:"rule_version"`
	Text      string    `json:"text"` // for people

	// What it is about; empty for what makes no difference.
	Workflow string `json:"workflow,omitempty"`
	Step     string `json:"step,omitempty"`
	TaskType string `json:"task_type,omitempty"`
	centralcloud.Arm
	ErrorClass string `json:"error_class,omitempty"`
	ErrorPrint string `json:"error_print,omitempty"`
	Attempt    int    `json:"attempt,omitempty"`
	Example    string `json:"example,omitempty"` // a run

	// Of duplicate calls. Answers that are not to be kept have no time and save
	// nothing.
	AnswersDiffer     float64 `json:"answers_differ,omitempty"` // for this share of the repeated questions
	TTLSeconds        float64 `json:"ttl_seconds,omitempty"`
	SavedCentsPerHour float64 `json:"saved_cents_per_hour,omitempty"`
}

// String returns the name of the finding and what it says.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s (%g, %g to %g, n %d)", f.Name, f.Text, f.Value, f.Interval[0], f.Interval[1], f.N)
}

// most is how many findings of one kind there are at a time.
const most = 50

// Find applies all rules, and returns what holds now, by name: what all of the
// evidence shows and both of its halves do by themselves. Of each kind it returns
// those that rest on the most calls, if there are too many.
func Find(e *Evidence, now time.Time) []Finding {
	var all []Finding
	whole, halves := e.views()
	for _, rule := range []func(*view, time.Time) []Finding{failingSteps, slowSteps, newErrors, uselessRetries, timeouts, duplicateCalls} {
		found := rule(whole, now)
		for _, half := range halves {
			if len(found) > 0 {
				found = both(found, rule(half, now))
			}
		}
		slices.SortFunc(found, func(a, b Finding) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name)) })
		all = append(all, found[:min(len(found), most)]...)
	}
	for i := range all {
		all[i].MadeAt, all[i].FirstSeen = now.UTC(), all[i].FirstSeen.UTC()
	}
	slices.SortFunc(all, func(a, b Finding) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// both returns the findings that are among others, too.
func both(found, others []Finding) []Finding {
	names := map[string]bool{}
	for _, other := range others {
		names[other.Name] = true
	}
	return slices.DeleteFunc(found, func(f Finding) bool { return !names[f.Name] })
}

// name joins what a finding is about.
func name(kind Kind, parts ...string) string {
	return string(kind) + ":" + strings.Join(parts, ":")
}

// rounded keeps three digits: what differs beyond them is noise.
func rounded(x float64) float64 {
	if x == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

// percent has two decimals.
func percent(share float64) float64 { return math.Round(1e4*share) / 100 }

func runOf(s *centralcloud.Sample) string {
	run, _, _ := strings.Cut(s.ID, "/")
	return run
}
