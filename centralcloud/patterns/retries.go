package patterns

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

const (
	retriesRule = 1
	// retriesSize is how many retries are looked at, at least.
	retriesSize = 30
	// retriesHope is the chance of success below which a retry is useless.
	retriesHope = 0.05
	// retriesSure is the interval in standard deviations: 95 %.
	retriesSure = 1.96
)

// retryKey is an attempt after a failure.
type retryKey struct {
	class   string // of the failure
	arm     centralcloud.Arm
	attempt int // that follows
}

func (k retryKey) compare(other retryKey) int {
	return cmp.Or(strings.Compare(k.class, other.class), k.arm.Compare(other.arm), cmp.Compare(k.attempt, other.attempt))
}

// uselessRetries finds the attempts that almost never succeed after a failure of
// a class, by the 95 % interval of their success (Jeffreys').
func uselessRetries(v *view, _ time.Time) []Finding {
	type visit struct {
		run string
		stepKey
	}
	last, retries := map[visit]*centralcloud.Sample{}, map[retryKey]*share{}
	firsts := map[retryKey]time.Time{}
	for call, weight := range v.calls() {
		at := visit{runOf(call), stepKey{call.Workflow, call.Step}}
		before := last[at]
		last[at] = call
		if before == nil || before.ErrorClass == "" || call.Attempt != before.Attempt+1 || call.ErrorClass == centralcloud.Cancelled {
			continue
		}
		key := retryKey{before.ErrorClass, before.Arm, call.Attempt}
		if retries[key] == nil {
			firsts[key] = call.At
		}
		entry(retries, key).add(call.At, weight, call.ErrorClass == "")
	}
	var found []Finding
	tail := normalTail(v.sure(retriesSure))
	for _, key := range slices.SortedFunc(maps.Keys(retries), retryKey.compare) {
		tries := retries[key]
		n := tries.size()
		if n < v.size(retriesSize) {
			continue
		}
		successes := tries.rate() * n
		low, high := 0.0, betaQuantile(1-tail, successes+0.5, n-successes+0.5)
		if high >= retriesHope {
			continue
		}
		if successes > 0 {
			low = betaQuantile(tail, successes+0.5, n-successes+0.5)
		}
		found = append(found, Finding{
			Kind: UselessRetry, Name: name(UselessRetry, key.class, key.arm.String(), fmt.Sprint(key.attempt)), Rule: retriesRule,
			N: tries.samples, Value: rounded(tries.rate()), Interval: [2]float64{rounded(low), rounded(high)},
			Threshold: retriesHope, Unit: "share of retries", FirstSeen: firsts[key],
			Text: fmt.Sprintf("attempt %d after a failure of class %s of %s succeeds at %g %% of %d: do not retry that",
				key.attempt, key.class, key.arm, percent(tries.rate()), tries.samples),
			Arm: key.arm, ErrorClass: key.class, Attempt: key.attempt,
		})
	}
	return found
}
