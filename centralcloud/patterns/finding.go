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
}

// String returns the name of the finding and what it says.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s (%g, %g to %g, n %d)", f.Name, f.Text, f.Value, f.Interval[0], f.Interval[1], f.N)
}

// most is how many findings of one kind there are at a time.
const most = 50

// Find applies all rules, and returns what holds now, by name. Of each kind it
// returns those that rest on the most calls, if there are too many.
func Find(e *Evidence, now time.Time) []Finding {
	var all []Finding
	for _, rule := range []func(*Evidence, time.Time) []Finding{failingSteps, slowSteps, newErrors, uselessRetries, timeouts} {
		found := rule(e, now)
		slices.SortFunc(found, func(a, b Finding) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name)) })
		all = append(all, found[:min(len(found), most)]...)
	}
	for i := range all {
		all[i].MadeAt, all[i].FirstSeen = now.UTC(), all[i].FirstSeen.UTC()
	}
	slices.SortFunc(all, func(a, b Finding) int { return strings.Compare(a.Name, b.Name) })
	return all
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
