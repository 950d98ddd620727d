package patterns_test

import (
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// priced is a policy that has a call of the large model cost two fifths of a cent
// and gives most calls to the favourite. Calls of the world cost a tenth.
func priced(favourite centralcloud.Arm) *centralcloud.Policy {
	arms := map[centralcloud.Arm]centralcloud.PolicyArm{
		small: {Arm: small, Weight: 0.05, CostCents: 0.1, Success: 0.88},
		large: {Arm: large, Weight: 0.05, CostCents: 0.4, Success: 0.9},
	}
	other := small
	if favourite == small {
		other = large
	}
	first := arms[favourite]
	first.Weight = 0.95
	return &centralcloud.Policy{Version: 3, Reference: large, Rows: []centralcloud.PolicyRow{{
		TaskType: "math", Bucket: centralcloud.AnyBucket, Judged: 1, Arms: []centralcloud.PolicyArm{first, arms[other]},
		Expected: centralcloud.Expected{SuccessVsReference: -0.02},
	}}}
}

func TestSavingsHoldWhatWasSpentAgainstTheReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	habit := usual("a", small)
	habit.fails = 0
	stranger := usual("a", centralcloud.Arm{Provider: "z", Model: "unpriced"})
	w.live(time.Hour, habit, stranger)
	evidence := w.evidence()
	saved := patterns.Save(evidence, priced(small), w.now)
	const calls = 120 * 6
	want := patterns.Money{Calls: calls, SpentCents: 72, ReferenceCents: 288, SavedCents: 216, SavedShare: 0.75}
	if saved.Money != want || len(saved.Tasks) != 1 || saved.Tasks[0].Money != want || saved.Reference != large || saved.PolicyVersion != 3 {
		t.Fatalf("saved %+v, want %+v", saved, want)
	}
	one := saved.Tasks[0]
	if one.Favourite != small || one.SuccessVsReference != -0.02 ||
		one.Advice != "use p/small: a call costs 0.1 cents instead of 0.4 with q/large, at a success of 0.88 instead of 0.9" {
		t.Errorf("task %+v", one)
	}
	if keep := patterns.Save(evidence, priced(large), w.now).Tasks[0].Advice; !strings.HasPrefix(keep, "keep q/large") {
		t.Errorf("advice %q", keep)
	}
	blind := priced(large)
	blind.Rows[0].Judged = 0
	if judge := patterns.Save(evidence, blind, w.now).Tasks[0].Advice; !strings.HasPrefix(judge, "judge the answers") {
		t.Errorf("advice %q", judge)
	}
	if none := patterns.Save(evidence, &centralcloud.Policy{}, w.now); none.Calls != 0 || none.SavedShare != 0 {
		t.Errorf("without rows: %+v", none)
	}
}

func TestSavingsAreTaughtWhenTheySaySomethingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 21)
	w.live(time.Hour, usual("a", small))
	var taught []centralcloud.Lesson
	teach := func(policy *centralcloud.Policy) (news bool) {
		t.Helper()
		lessons, err := patterns.SavingsChange(taught, patterns.Save(w.evidence(), policy, w.now))
		if err != nil {
			t.Fatal(err)
		}
		if len(lessons) == 0 {
			return false
		}
		learning, err := centralcloud.TeachLesson(lessons[0], w.now).Encode()
		if err != nil {
			t.Fatal(err)
		}
		heard, err := centralcloud.DecodeLearning(learning.Body)
		if err != nil {
			t.Fatal(err)
		}
		learned, err := (&centralcloud.Learned{}).With(heard)
		if err != nil || learned.Savings.Settings["models"] == nil || !strings.Contains(string(learned.Savings.Estimated), `"saved_share"`) {
			t.Fatalf("nodes learn %+v, %v", learned, err)
		}
		if len(taught) > 0 && lessons[0].Version != taught[0].Version+1 {
			t.Errorf("version %d follows %d", lessons[0].Version, taught[0].Version)
		}
		taught = lessons
		return true
	}
	for _, step := range []struct {
		what   string
		lasts  time.Duration
		policy *centralcloud.Policy
		news   bool
	}{
		{"the first", 0, priced(small), true},
		{"the same", 0, priced(small), false},
		{"some more calls", 10 * time.Minute, priced(small), false},
		{"another favourite", 0, priced(large), true},
		{"an hour later", time.Hour, priced(large), true},
	} {
		w.live(step.lasts, usual("a", small))
		if news := teach(step.policy); news != step.news {
			t.Errorf("%s: is news %v", step.what, news)
		}
	}
	if lessons, err := patterns.SavingsChange(nil, patterns.Save(&patterns.Evidence{}, priced(small), w.now)); err != nil || len(lessons) > 0 {
		t.Errorf("of no calls %v is taught, %v", lessons, err)
	}
}
