package patterns

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"singularity/centralcloud"
)

const (
	failingRule = 1
	// failingSize is how many calls a step and its siblings need.
	failingSize = 50
	// failingLead is by how much a step fails more often than its siblings, at
	// least.
	failingLead = 0.02
	// failingSure is the interval in standard deviations: 99.99 %, since many steps
	// are compared, again and again.
	failingSure = 3.89
)

// failingSteps finds the steps that fail with a model more often than other
// steps do with it or, where it has no other steps, than they do with other
// models.
func failingSteps(v *view, _ time.Time) []Finding {
	sites, arms, steps := map[siteKey]*share{}, map[centralcloud.Arm]*share{}, map[stepKey]*share{}
	for call, weight := range v.calls() {
		if call.ErrorClass == centralcloud.Cancelled {
			continue
		}
		site, failed := siteOf(call), call.ErrorClass != ""
		entry(sites, site).add(call.At, weight, failed)
		entry(arms, site.arm).add(call.At, weight, failed)
		entry(steps, site.stepKey).add(call.At, weight, failed)
	}
	var found []Finding
	for _, site := range slices.SortedFunc(maps.Keys(sites), siteKey.compare) {
		own := sites[site]
		siblings, who := arms[site.arm].without(own), "other steps with that model"
		if siblings.size() < v.size(failingSize) {
			siblings, who = steps[site.stepKey].without(own), "that step with other models"
		}
		if own.size() < v.size(failingSize) || siblings.size() < v.size(failingSize) {
			continue
		}
		low, high := difference(*own, siblings, v.sure(failingSure))
		if low <= failingLead {
			continue
		}
		found = append(found, Finding{
			Kind: FailingStep, Name: name(FailingStep, site.workflow, site.step, site.arm.String()), Rule: failingRule,
			N: own.samples, Value: rounded(own.rate() - siblings.rate()), Interval: [2]float64{rounded(low), rounded(high)},
			Threshold: failingLead, Unit: "share of calls", FirstSeen: own.first,
			Text: fmt.Sprintf("step %s fails at %g %% of its calls with %s, %s at %g %%",
				site.stepKey, percent(own.rate()), site.arm, who, percent(siblings.rate())),
			Workflow: site.workflow, Step: site.step, Arm: site.arm,
		})
	}
	return found
}
