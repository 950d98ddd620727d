package learner_test

import (
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

func TestGuardrailsOverruleWhatIsLearned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		rules learner.Rules
		facts []learner.ArmFacts
		why   string // of cheap, which would be the favourite
	}{
		{name: "deny", rules: learner.Rules{Deny: []centralcloud.Arm{cheap}}, why: "denied"},
		{name: "allow", rules: learner.Rules{Allow: []centralcloud.Arm{strong, middle}}, why: "not among the allowed"},
		{name: "pin", rules: learner.Rules{Pin: &strong}, why: "pinned to p/strong"},
		{name: "success floor", rules: learner.Rules{SuccessFloor: 0.95}, why: "success floor 0.95: upper bound 0.8"},
		{name: "price cap", rules: learner.Rules{PriceCap: 100_000}, why: "price cap 0.01 cents: a call costs 0.02 cents"},
		{name: "latency", rules: learner.Rules{Latency: learner.LatencyTarget{Limit: 600 * time.Millisecond}}, why: "latency: at most"},
		{name: "context", rules: learner.Rules{Context: 100_000}, facts: []learner.ArmFacts{{Arm: cheap, Context: 8000}, {Arm: strong, Context: 200_000}}, why: "holds 8000 tokens of the 100000 that are needed"},
		{name: "tools", rules: learner.Rules{Tools: true}, facts: []learner.ArmFacts{{Arm: strong, Tools: true}}, why: "cannot use tools"},
		{name: "json", rules: learner.Rules{JSON: true}, facts: []learner.ArmFacts{{Arm: strong, JSON: true}}, why: "cannot answer in JSON"},
		{name: "region", rules: learner.Rules{Region: "eu"}, facts: []learner.ArmFacts{{Arm: cheap, Region: "us"}, {Arm: strong, Region: "eu"}}, why: `runs in "us", not in "eu"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 31, always(0.8))
			w.live(40, 40, "math", "other")
			w.config.Tasks = map[string]learner.Rules{"math": c.rules}
			w.config.Arms = c.facts
			policy := w.learn()
			barred := armOf(t, policy, "math", cheap)
			if barred.Weight != 0 || !barred.Barred || !strings.HasPrefix(barred.Why, c.why) {
				t.Errorf("weight %v, barred %v, because %q; want because %q", barred.Weight, barred.Barred, barred.Why, c.why)
			}
			row, _ := policy.Row("math", 1)
			for _, arm := range row.Fallback {
				if arm == cheap {
					t.Error("it is among the fallbacks")
				}
			}
			if armOf(t, policy, "other", cheap).Weight < 0.8 {
				t.Error("the rule of one task touches another")
			}
		})
	}
}

func TestTheReferenceIsTheLastResort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 32, always(0.8))
	w.live(20, 40, "math")
	w.config.Rules.PriceCap = 1
	policy := w.learn()
	last := armOf(t, policy, "math", strong)
	if last.Weight != 1 || !strings.Contains(last.Why, "last resort") {
		t.Errorf("no arm is below the cap, and the reference has weight %v because %q", last.Weight, last.Why)
	}
}

func TestExplorationKeepsAFloorAndACeiling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 33, func(_, model string) float64 {
		return map[string]float64{"strong": 0.9, "middle": 0.2, "cheap": 0.89}[model]
	})
	w.config.Tasks = map[string]learner.Rules{"critical": {Critical: true}}
	policy := w.live(40, 40, "math", "critical")
	if floor := armOf(t, policy, "math", middle).Weight; floor < 0.0016 || floor > 0.002 {
		t.Errorf("an arm that is never right gets %v, want a third of half of 1 %%", floor)
	}
	for _, c := range []struct {
		task string
		most float64
	}{{"math", 0.11}, {"critical", 0}} {
		row, _ := policy.Row(c.task, 1)
		if others := 1 - row.Arms[0].Weight; others > c.most {
			t.Errorf("%s: arms other than the favourite get %v, want at most %v", c.task, others, c.most)
		}
	}
}

func TestWhatIsExploredIsMostlyWhatMayBeAsGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 34, func(_, model string) float64 {
		return map[string]float64{"strong": 0.9, "middle": 0.85, "cheap": 0.2}[model]
	})
	w.config.Mode, w.config.CostWeight = centralcloud.Utility, 0.01
	w.call("math", strong, 2000)
	w.call("math", middle, 2000)
	w.call("math", cheap, 2000)
	policy := w.learn()
	near, far := armOf(t, policy, "math", middle).Weight, armOf(t, policy, "math", cheap).Weight
	if near < 2*far || far < 0.0016 {
		t.Errorf("the arm that is a little behind gets %v, the one far behind %v; want much more for the first, and something for both", near, far)
	}
}

func TestTheReferenceIsAskedTheMoreTheLessItIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 35, always(0.9))
	w.call("math", cheap, 1000)
	w.call("math", strong, 10)
	unknown := armOf(t, w.learn(), "math", strong).Weight
	if unknown < 0.09 {
		t.Errorf("the reference was asked ten times, and gets %v; want about a tenth", unknown)
	}
	w.call("math", strong, 2000)
	if known := armOf(t, w.learn(), "math", strong).Weight; known > 0.03 {
		t.Errorf("the reference was asked 2,010 times, and gets %v; want little more than what is explored", known)
	}
}
