package learner

import (
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
)

var (
	good = centralcloud.Arm{Provider: "p", Model: "good"}
	poor = centralcloud.Arm{Provider: "p", Model: "poor"}
)

// journal is a ledger of calls that were made by a policy.
type journal struct {
	*Ledger
	now   time.Time
	epoch int64
}

func newJournal() *journal {
	return &journal{Ledger: NewLedger(), now: time.Unix(1_000_000_020, 0).UTC(), epoch: 1_000_000_020 - 1200}
}

// made notes calls of an arm in a bucket, of which some succeeded, by a policy that
// chose it with a probability.
func (j *journal) made(arm centralcloud.Arm, bucket int, calls, successes int64, propensity float64) {
	j.epoch += centralcloud.EpochSeconds
	j.Add(centralcloud.Row{
		Key:      centralcloud.Key{Instance: "n", Boot: "b", Epoch: centralcloud.EpochOf(j.epoch), TaskType: "math", Bucket: bucket, Arm: arm},
		Revision: calls,
		Counters: centralcloud.Counters{
			Calls: calls, Judged: calls, Successes: successes, Quality: successes * 1_000_000, Squares: successes * 1_000_000,
			InversePropensity: int64(float64(calls) / propensity * 1e6),
		},
	})
}

// rowWith gives the good arm a weight, and the poor one the rest.
func rowWith(weight float64) centralcloud.PolicyRow {
	return centralcloud.PolicyRow{TaskType: "math", Bucket: centralcloud.AnyBucket, Judged: 1, Arms: []centralcloud.PolicyArm{
		{Arm: good, Weight: weight, CostCents: 1, Why: "new"}, {Arm: poor, Weight: 1 - weight, CostCents: 0.1, Why: "new"},
	}}
}

func TestRowThatWouldBeClearlyWorseByTheLoggedCallsIsHeldBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		calls  func(*journal)
		change func(next *centralcloud.Policy, before *centralcloud.PolicyRow)
		worth  float64
		held   bool
	}{
		"clearly worse": {held: true},
		"worse by less than may be given away": {calls: func(j *journal) {
			j.made(good, 0, 900, 810, 0.9)
			j.made(poor, 0, 100, 88, 0.1)
		}},
		"too few calls to be sure": {calls: func(j *journal) {
			j.made(good, 0, 200, 180, 0.9)
			j.made(poor, 0, 10, 7, 0.1)
		}},
		"hardly any calls": {calls: func(j *journal) {
			j.made(good, 0, 90, 90, 0.9)
			j.made(poor, 0, 10, 0, 0.1)
		}},
		"an arm that nobody called": {calls: func(j *journal) { j.made(good, 0, 900, 810, 1) }},
		"calls of two hours ago": {calls: func(j *journal) {
			j.epoch -= 7200
			j.made(good, 0, 900, 810, 0.9)
			j.made(poor, 0, 100, 40, 0.1)
		}},
		// The poor arm got the hard half of the calls, and is as good as the other there.
		"only seemingly worse": {calls: func(j *journal) {
			j.made(good, 0, 900, 855, 0.9)
			j.made(poor, 0, 100, 95, 0.1)
			j.made(good, 2, 100, 40, 0.1)
			j.made(poor, 2, 900, 360, 0.9)
		}},
		"an arm went down": {change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) { next.Rows[0].Arms[0].Barred = true }},
		"an arm came back": {change: func(_ *centralcloud.Policy, before *centralcloud.PolicyRow) { before.Arms[1].Barred = true }},
		"an arm is new":    {change: func(_ *centralcloud.Policy, before *centralcloud.PolicyRow) { before.Arms = before.Arms[:1] }},
		"a price changed": {change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) {
			next.DriftEvents = []centralcloud.DriftEvent{{Arm: good, Kind: centralcloud.PriceDrift, At: next.MadeAt.Add(-time.Minute)}}
		}},
		"a price changed long ago": {held: true, change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) {
			next.DriftEvents = []centralcloud.DriftEvent{{Arm: good, Kind: centralcloud.PriceDrift, At: next.MadeAt.Add(-time.Hour)}}
		}},
		"an arm changed since": {change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) {
			next.DriftEvents = []centralcloud.DriftEvent{{Arm: poor, Kind: centralcloud.QualityDrift, At: next.MadeAt}}
		}},
		"nobody judges": {change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) { next.Rows[0].Judged = 0 }},
		"the money is worth it": {worth: 1e-7, change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) { // 0.7 of a cent is worth 0.7
			next.Mode = centralcloud.Utility
		}},
		"the money is not worth it": {worth: 1e-8, held: true, change: func(next *centralcloud.Policy, _ *centralcloud.PolicyRow) {
			next.Mode = centralcloud.Utility
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJournal()
			if test.calls == nil {
				test.calls = func(j *journal) {
					j.made(good, 0, 900, 810, 0.9)
					j.made(poor, 0, 100, 40, 0.1)
				}
			}
			test.calls(j)
			next := &centralcloud.Policy{MadeAt: j.now, Mode: centralcloud.Reference, Delta: 0.03, Rows: []centralcloud.PolicyRow{rowWith(0.1)}}
			before := rowWith(0.9)
			before.Arms[0].Why = "old"
			if test.change != nil {
				test.change(next, &before)
			}
			row := &next.Rows[0]
			newCheck(j.Ledger, next, test.worth).hold(row, &before)
			if held := row.Held != ""; held != test.held || held != (row.Arms[0].Weight == 0.9 && row.Arms[0].Why == "old") {
				t.Errorf("held is %v, want %v: %+v", held, test.held, row)
			}
		})
	}
}

func TestCheckEstimatesWhatARowIsWorthAndHowSureThatIs(t *testing.T) {
	t.Parallel()
	j := newJournal()
	j.made(good, 0, 900, 810, 0.9) // 0.9
	j.made(poor, 0, 100, 40, 0.1)  // 0.4
	before := rowWith(0.9)
	earlier := map[centralcloud.Arm]centralcloud.PolicyArm{good: before.Arms[0], poor: before.Arms[1]}
	row := rowWith(0.1)
	next := &centralcloud.Policy{MadeAt: j.now, Rows: []centralcloud.PolicyRow{row}}
	found, enough := newCheck(j.Ledger, next, 0).compare(&row, earlier)
	// 0.8 of the weight moves from 0.9 to 0.4, whose means have 0.09/900 and 0.24/100 for variances.
	if want := 0.64 * (0.09/900 + 0.24/100); !enough || found.judged != 1000 || abs(found.change+0.4) > 1e-9 || abs(found.variance-want) > 0.01*want {
		t.Errorf("found %+v, %v; want a change of -0.4 with a variance of %v", found, enough, want)
	}
	newCheck(j.Ledger, next, 0).hold(&next.Rows[0], &before)
	if want := "by 1000 logged calls its success would change by -0.400, and surely by no more than -0.27"; !strings.HasPrefix(next.Rows[0].Held, want) {
		t.Errorf("it says %q, want %q", next.Rows[0].Held, want)
	}
}

// Where the poor arm was asked what is easy, it looks like the better one. How likely
// it was to be asked tells that it is not.
func TestNextPolicyKeepsTheChoiceThatTheLoggedCallsSpeakFor(t *testing.T) {
	t.Parallel()
	j := newJournal()
	j.made(poor, 0, 900, 900, 0.9)
	j.epoch -= centralcloud.EpochSeconds // at the same time, since a change is another matter
	j.made(poor, 1, 100, 10, 0.01)
	j.made(good, 0, 100, 80, 0.1)
	j.made(good, 1, 9900, 7920, 0.99)
	prices := Prices{}.With(time.Unix(0, 0), Price{Arm: good, In: 10_000_000, Out: 10_000_000}, Price{Arm: poor, In: 1_000_000, Out: 1_000_000})
	config := Config{Reference: good}
	weightOf := func(policy *centralcloud.Policy, change float64) (weight float64, held string) {
		row := &policy.Rows[1]
		for i := range row.Arms {
			switch {
			case row.Arms[i].Arm != good:
			case change > 0:
				row.Arms[i].Weight, row.Arms[1-i].Weight = change, 1-change
			default:
				weight = row.Arms[i].Weight
			}
		}
		return weight, row.Held
	}
	previous := Next(j.Ledger, prices, config, nil, j.now)
	weightOf(previous, 0.95)
	if weight, held := weightOf(Next(j.Ledger, prices, config, previous, j.now), 0); weight != 0.95 || held == "" {
		t.Errorf("the good arm has weight %v, held back by %q; want 0.95", weight, held)
	}
	config.Delta = 0.04
	if weight, held := weightOf(Next(j.Ledger, prices, config, previous, j.now), 0); weight > 0.8 || held != "" {
		t.Errorf("after operators chose otherwise the good arm has weight %v, held back by %q", weight, held)
	}
}

func abs(x float64) float64 { return max(x, -x) }
