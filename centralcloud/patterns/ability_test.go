package patterns_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// judged is what an arm did at a task: how many of a thousand answers were good.
type judged struct {
	arm  centralcloud.Arm
	task string
	good int64
}

func evidenceOf(all ...judged) *patterns.Evidence {
	const calls = 1000
	span := patterns.NewSpan(0)
	for _, j := range all {
		span.AddRow(centralcloud.Row{
			Key: centralcloud.Key{Instance: "a", Boot: "b", TaskType: j.task, Arm: j.arm}, Revision: 1,
			Counters: centralcloud.Counters{
				Calls: calls, Judged: calls, Successes: j.good, Quality: j.good * 1_000_000, Squares: j.good * 1_000_000, Latency: centralcloud.SketchOf(9),
			},
		})
	}
	evidence := &patterns.Evidence{}
	evidence.Put(span)
	return evidence
}

func TestAbilityIsNotThatOfWhoGetsEasyTasks(t *testing.T) {
	t.Parallel()
	middling := centralcloud.Arm{Provider: "r", Model: "middling"}
	// At what two do, the small model is worse. It has the easy task, and looks better
	// over all.
	made := patterns.Compare(evidenceOf(
		judged{small, "easy", 900}, judged{middling, "easy", 940}, judged{middling, "hard", 400}, judged{large, "hard", 600},
	), time.Unix(300, 0))
	ability := map[centralcloud.Arm]patterns.Ability{}
	success := map[centralcloud.Arm]float64{}
	for _, b := range made.Models {
		if b.TaskType == centralcloud.AnyTask {
			ability[b.Arm], success[b.Arm] = *b.Ability, b.Success
		} else if b.Ability != nil {
			t.Errorf("%s has an ability at one task", b.Arm)
		}
	}
	if success[small] <= success[large] {
		t.Fatalf("successes are %v, want that of the small model above that of the large one", success)
	}
	logit := func(p float64) float64 { return math.Log(p / (1 - p)) }
	for _, pair := range []struct {
		better, worse centralcloud.Arm
		by            float64
	}{
		{middling, small, logit(0.94) - logit(0.9)},
		{large, middling, logit(0.6) - logit(0.4)},
	} {
		if by := ability[pair.better].Value - ability[pair.worse].Value; math.Abs(by-pair.by) > 0.1 {
			t.Errorf("%s is better than %s by %.2f, want %.2f", pair.better, pair.worse, by, pair.by)
		}
	}
	for arm, a := range ability {
		if a.Deviation < 0.05 || a.Deviation > 0.6 {
			t.Errorf("the ability of %s is known to %.2f", arm, a.Deviation)
		}
	}
}

func TestAbilityOfWhoIsComparedWithNobodyIsNotKnown(t *testing.T) {
	t.Parallel()
	made := patterns.Compare(evidenceOf(judged{small, "a", 900}, judged{large, "b", 100}), time.Unix(300, 0))
	for _, b := range made.Models {
		if b.Ability != nil && b.Ability.Deviation < 1 {
			t.Errorf("%s has an ability of %+v, that nothing tells", b.Arm, *b.Ability)
		}
	}
}

func TestBetterIsWhoVeryLikelySucceedsMoreOften(t *testing.T) {
	t.Parallel()
	var all []judged
	for i := range int64(8) {
		all = append(all, judged{centralcloud.Arm{Provider: "p", Model: fmt.Sprint("m", i)}, "a", 800 + 5*i})
	}
	made := patterns.Compare(evidenceOf(append(all, judged{small, "a", 880})...), time.Unix(300, 0))
	for _, b := range made.Models {
		if b.TaskType == centralcloud.AnyTask {
			if b.BetterThan != nil {
				t.Errorf("%s is compared at no task", b.Arm)
			}
			continue
		}
		if len(b.BetterThan) != 5 {
			t.Errorf("%s is compared with %d others, want 5", b.Arm, len(b.BetterThan))
		}
		for rival, p := range b.BetterThan {
			if b.Arm == small && p < 0.99 || b.Model == "m0" && (p < 0.05 || p > 0.5) {
				t.Errorf("%s is better than %s with probability %g", b.Arm, rival, p)
			}
		}
	}
}
