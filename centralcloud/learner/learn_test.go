package learner_test

import (
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

func TestAnArmThatGetsTheHardTasksIsNotMarkedDown(t *testing.T) {
	t.Parallel()
	// Simpson's paradox: strong is better at both tasks, but looks worse overall.
	w := newWorld(t, 1, func(task, model string) float64 {
		return map[string]float64{"hard strong": 0.55, "hard cheap": 0.40, "easy strong": 0.95, "easy cheap": 0.88}[task+" "+model]
	})
	w.call("hard", strong, 1000)
	w.call("hard", cheap, 100)
	w.call("easy", strong, 100)
	w.call("easy", cheap, 1000)
	policy := w.learn()
	for _, task := range []string{"hard", "easy", "never seen"} {
		better, worse := armOf(t, policy, task, strong), armOf(t, policy, task, cheap)
		if better.Success <= worse.Success {
			t.Errorf("%s: strong succeeds with %v, cheap with %v; strong is better at every task", task, better.Success, worse.Success)
		}
	}
}

func TestReferenceModeTakesTheCheapestThatIsAsGoodAndNoneDearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, func(task, model string) float64 {
		if task == "easy" || model != "cheap" {
			return 0.8
		}
		return 0.4
	})
	w.config.Reference = middle
	policy := w.live(150, 40, "easy", "hard")
	if weight := armOf(t, policy, "easy", cheap).Weight; weight < 0.8 {
		t.Errorf("easy: cheap, which is as good, has weight %v", weight)
	}
	if weight := armOf(t, policy, "hard", cheap).Weight; weight > 0.02 {
		t.Errorf("hard: cheap, which is far worse, has weight %v", weight)
	}
	dearer := armOf(t, policy, "hard", strong)
	if dearer.Weight != 0 || dearer.Why != "dearer than middle" {
		t.Errorf("hard: an arm dearer than the reference has weight %v, because %q", dearer.Weight, dearer.Why)
	}
	if row, _ := policy.Row("easy", 1); row.Expected.CostVsReference > -0.5 {
		t.Errorf("easy: expected cost is %v beside the reference", row.Expected.CostVsReference)
	}
}

func TestUtilityModeWeighsSuccessAgainstMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(task, model string) float64 {
		switch {
		case model == "strong":
			return 0.9
		case task == "close":
			return 0.87
		default:
			return 0.6
		}
	})
	w.config.Mode = centralcloud.Utility
	policy := w.live(60, 40, "close", "far")
	if weight := armOf(t, policy, "close", cheap).Weight; weight < 0.5 {
		t.Errorf("close: cheap loses 0.03 and saves most of 0.1, but has weight %v", weight)
	}
	if weight := armOf(t, policy, "far", strong).Weight; weight < 0.8 {
		t.Errorf("far: strong gains 0.3 for 0.1, but has weight %v", weight)
	}
}

func TestANewPriceActsAtTheNextPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, always(0.8))
	w.config.Mode = centralcloud.Utility
	before := w.live(40, 40, "math")
	if weight := armOf(t, before, "math", cheap).Weight; weight < 0.8 {
		t.Fatalf("cheap has weight %v before it gets dear", weight)
	}
	w.prices = w.prices.With(time.Unix(w.now, 0), price(cheap, 30))
	after := w.learn()
	if weight := armOf(t, after, "math", cheap).Weight; weight > 0.05 {
		t.Errorf("cheap costs more than all others now, and has weight %v", weight)
	}
	event := after.DriftEvents[len(after.DriftEvents)-1]
	if event.Kind != centralcloud.PriceDrift || event.Arm != cheap || event.From != 2 || event.To != 60 {
		t.Errorf("the event of the change is %+v", event)
	}
}

func TestAnUnknownTaskTypeHasTheRowForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5, func(_, model string) float64 {
		return map[string]float64{"strong": 0.9, "middle": 0.5, "cheap": 0.9}[model]
	})
	policy := w.live(40, 30, "math", "law", "history")
	row, found := policy.Row("poetry", 0)
	if !found || row.TaskType != centralcloud.AnyTask {
		t.Fatalf("the row of an unknown task is that of %q", row.TaskType)
	}
	if row.Arms[0].Arm != cheap {
		t.Errorf("its favourite is %s, want the cheap one that is good at all tasks that are known", row.Arms[0].Arm)
	}
}

func TestWithoutVerdictsTheReferenceIsUsedAndThePolicySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, always(0.8))
	w.live(20, 30, "judged")
	unjudged := w.row(0, "unjudged", cheap, 30)
	unjudged.Judged, unjudged.Successes, unjudged.Quality, unjudged.Squares = 0, 0, 0, 0
	w.add(unjudged)
	policy := w.learn()
	row, _ := policy.Row("unjudged", 1)
	if row.Judged != 0 || row.Arms[0].Arm != strong || row.Arms[0].Weight != 1 {
		t.Errorf("judged share %v, favourite %s with weight %v; want the reference alone", row.Judged, row.Arms[0].Arm, row.Arms[0].Weight)
	}
	if want := "the reference: no answer at this task was judged, so nothing is learned"; row.Arms[0].Why != want {
		t.Errorf("why: %q, want %q", row.Arms[0].Why, want)
	}
	if row, _ := policy.Row("judged", 1); row.Judged != 1 {
		t.Errorf("the judged share of the judged task is %v", row.Judged)
	}
}

func TestBucketsGetRowsOnlyWhereTheyDiffer(t *testing.T) {
	t.Parallel()
	for _, differ := range []bool{false, true} {
		w := newWorld(t, 7, always(0.7))
		for epoch := range 60 {
			for bucket := range 3 {
				for _, arm := range []centralcloud.Arm{strong, cheap} {
					rate := 0.7
					if differ && arm == cheap {
						rate = []float64{0.9, 0.6, 0.2}[bucket]
					}
					w.success = always(rate)
					row := w.row(epoch%8, "math", arm, 10)
					row.Bucket = bucket
					w.add(row)
				}
			}
			w.pass(30)
		}
		policy := w.learn()
		graded := slices.ContainsFunc(policy.Rows, func(row centralcloud.PolicyRow) bool { return row.Bucket != centralcloud.AnyBucket })
		if graded != differ {
			t.Errorf("buckets differ: %v, and have rows: %v", differ, graded)
		}
		easy, hard := armIn(t, policy, "math", 0, cheap).Success, armIn(t, policy, "math", 2, cheap).Success
		if differ && easy < hard+0.3 {
			t.Errorf("success by bucket: %v and %v, want about 0.9 and 0.2", easy, hard)
		}
	}
}

func TestAFewOldCallsDoNotFadeAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8, always(1))
	w.call("rare", cheap, 30)
	fresh := armOf(t, w.learn(), "rare", cheap)
	w.pass(20 * 3600)
	if old := armOf(t, w.learn(), "rare", cheap); old.Success != fresh.Success {
		t.Errorf("after 20 hours the success is %v, was %v", old.Success, fresh.Success)
	}
	for range 120 {
		w.success = always(0.2)
		w.call("rare", cheap, 10)
		w.pass(30)
	}
	if later := armOf(t, w.learn(), "rare", cheap); later.Success > 0.25 {
		t.Errorf("with 1,200 new calls at 0.2 the success is still %v", later.Success)
	}
}

func TestScoresCountByTheirValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9, always(0))
	row := w.row(0, "essay", cheap, 400)
	row.Quality, row.Squares = 400*700_000, 400*490_000
	w.add(row)
	if got := armOf(t, w.learn(), "essay", cheap).Success; got < 0.66 || got > 0.71 {
		t.Errorf("with scores of 0.7 the success is %v", got)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	t.Parallel()
	config := learner.Config{Mode: "fast", Reference: centralcloud.Arm{Model: "none"}, Delta: 2}
	err := config.Validate(learner.Prices{}, time.Unix(0, 0))
	want := `configure the learner: mode: is "fast"; expected reference, utility or budget
reference: /none has no price; expected an arm of the price table
delta: is 2; expected 0 to 1`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
