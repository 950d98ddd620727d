package patterns

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"singularity/centralcloud"
)

const (
	slowRule = 1
	// slowSize is how many answers a step and its siblings need, so that the
	// interval of the 95th percentile has an end.
	slowSize = 150
	// slowFactor is how many times as long a step takes, at least.
	slowFactor = 2
	// slowSure is the interval in standard deviations: 99 %, of which both ends
	// have to be apart by the factor.
	slowSure = 2.58
)

// slowSteps finds the steps whose answers take longer than those that other
// steps get from the same model, by the 95th percentile.
func slowSteps(v *view, _ time.Time) []Finding {
	sites, arms := map[siteKey]*durations{}, map[centralcloud.Arm][]siteKey{}
	for call, weight := range v.calls() {
		if call.ErrorClass != "" {
			continue
		}
		site := siteOf(call)
		if sites[site] == nil {
			arms[site.arm] = append(arms[site.arm], site)
		}
		entry(sites, site).add(call.At, float64(call.Latency), weight)
	}
	var found []Finding
	for _, site := range slices.SortedFunc(maps.Keys(sites), siteKey.compare) {
		own, siblings := sites[site], &durations{}
		if own.size() < v.size(slowSize) {
			continue
		}
		for _, other := range arms[site.arm] {
			if other != site {
				siblings.merge(sites[other])
			}
		}
		if siblings.size() < v.size(slowSize) {
			continue
		}
		own.sort()
		siblings.sort()
		typical := siblings.at(0.95)
		if typical <= 0 {
			continue
		}
		lowRank, highRank := ranks(0.95, own.size(), v.sure(slowSure))
		_, siblingRank := ranks(0.95, siblings.size(), v.sure(slowSure))
		low, high := own.at(lowRank)/siblings.at(siblingRank), own.at(highRank)/typical
		if low <= slowFactor {
			continue
		}
		found = append(found, Finding{
			Kind: SlowStep, Name: name(SlowStep, site.workflow, site.step, site.arm.String()), Rule: slowRule,
			N: int64(len(own.list)), Value: rounded(own.at(0.95) / typical), Interval: [2]float64{rounded(low), rounded(high)},
			Threshold: slowFactor, Unit: "times as long", FirstSeen: own.first,
			Text: fmt.Sprintf("step %s waits %s for one in twenty answers of %s, other steps %s",
				site.stepKey, briefly(own.at(0.95)), site.arm, briefly(typical)),
			Workflow: site.workflow, Step: site.step, Arm: site.arm,
		})
	}
	return found
}

// briefly is a time in microseconds, for people.
func briefly(micros float64) string {
	return (time.Duration(rounded(micros)) * time.Microsecond).String()
}
