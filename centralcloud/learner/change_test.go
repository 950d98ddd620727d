package learner_test

import (
	"testing"

	"singularity/centralcloud"
)

func TestAChangeIsNoticedAndTheOldCallsStopCounting(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		worse := false
		w := newWorld(t, seed, func(_, model string) float64 {
			if model == "cheap" && worse {
				return 0.2
			}
			return 0.75
		})
		call := func(epochs int) *centralcloud.Policy {
			for range epochs {
				for _, task := range []string{"math", "law"} {
					w.call(task, cheap, 20)
					w.call(task, strong, 5)
				}
				w.pass(centralcloud.EpochSeconds)
			}
			return w.learn()
		}
		call(60)
		worse = true
		changed := w.now
		if len(quality(call(1))) == 0 {
			t.Errorf("seed %d: cheap fell from 0.75 to 0.2 in the last 40 calls, and nothing was noticed", seed)
		}
		policy := call(11)
		events := quality(policy)
		if len(events) == 0 {
			t.Errorf("seed %d: cheap fell from 0.75 to 0.2 six minutes ago, and nothing was noticed", seed)
			continue
		}
		event := events[0]
		if event.Arm != cheap || event.From < event.To || event.At.Unix() < changed-300 || event.At.Unix() > changed+180 {
			t.Errorf("seed %d: the change at %d is told as %+v", seed, changed, event)
		}
		if got := armOf(t, policy, "math", cheap).Success; got > 0.3 {
			t.Errorf("seed %d: cheap is still believed to succeed with %v", seed, got)
		}
	}
}

func TestWhatDoesNotChangeRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	alarms := 0
	for seed := range uint64(20) {
		w := newWorld(t, 100+seed, func(task, model string) float64 {
			rate := map[string]float64{"strong": 0.75, "middle": 0.65, "cheap": 0.7}[model]
			if task == "law" {
				rate -= 0.3
			}
			return rate
		})
		// The mix of tasks changes, and with it how often calls succeed.
		w.live(60, 20, "math")
		alarms += len(quality(w.live(60, 20, "law")))
	}
	if alarms > 1 {
		t.Errorf("%d alarms in 20 hours in which nothing changed but the tasks", alarms)
	}
}

func TestAnArmThatIsDownGetsProbesUntilItAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 21, always(0.8))
	w.live(40, 40, "math")
	believed := armOf(t, w.learn(), "math", cheap).Success

	w.down["cheap"] = true
	down := armOf(t, w.live(2, 40, "math"), "math", cheap)
	if !down.Barred || down.Weight > 0.02 || down.Weight == 0 {
		t.Errorf("down: barred %v with weight %v, want probes only", down.Barred, down.Weight)
	}
	if down.Success < believed-0.05 {
		t.Errorf("its outage lowered its success from %v to %v", believed, down.Success)
	}
	if row, _ := w.learn().Row("math", 1); row.Fallback[0] == cheap {
		t.Error("an arm that is down is the first fallback")
	}

	w.down["cheap"] = false
	w.call("math", cheap, 3)
	w.pass(150)
	if up := armOf(t, w.learn(), "math", cheap); up.Barred || up.Weight < 0.5 {
		t.Errorf("it answered again: barred %v with weight %v", up.Barred, up.Weight)
	}
}

func TestAnInstanceUnlikeAllOthersIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 22, always(0.8))
	w.live(40, 40, "math")
	clean := armOf(t, w.learn(), "math", cheap).Success

	honest := w.success
	for range 10 {
		w.call("math", cheap, 80)
		w.success = always(0)
		w.add(w.row(3, "math", cheap, 40))
		w.success = honest
		w.pass(30)
	}
	policy := w.learn()
	if len(policy.Quarantined) != 1 || policy.Quarantined[0].Instance != "node-3" {
		t.Fatalf("quarantined: %+v, want node-3", policy.Quarantined)
	}
	if got := armOf(t, policy, "math", cheap).Success; got < clean-0.05 {
		t.Errorf("success fell from %v to %v by calls that do not count", clean, got)
	}
	if events := quality(policy); len(events) > 0 {
		t.Errorf("its calls are taken for a change: %+v", events)
	}

	for range 70 {
		w.call("math", cheap, 80)
		w.pass(30)
	}
	if policy := w.learn(); len(policy.Quarantined) != 0 {
		t.Errorf("half an hour after its last odd call it is still out: %+v", policy.Quarantined)
	}
}

func TestBudgetModeHoldsItsTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 23, func(_, model string) float64 {
		return map[string]float64{"strong": 0.9, "middle": 0.7, "cheap": 0.5}[model]
	})
	w.config.Mode = centralcloud.Budget
	// 40 calls an epoch cost 9.6 dollars an hour with strong, 1 with cheap.
	w.config.HourlyBudget = 4_000_000_000
	w.live(120, 40, "math")
	w.spent = 0
	policy := w.live(240, 40, "math")
	dollars := float64(w.spent) / 1e9 / 2
	if dollars < 3.4 || dollars > 4.2 {
		t.Errorf("%.2f dollars an hour, want about 4", dollars)
	}
	if policy.Budget.TargetCents != 400 || policy.Budget.SpentCents < 330 || policy.Budget.SpentCents > 430 || policy.Budget.W <= 0.1 {
		t.Errorf("the account is %+v", policy.Budget)
	}
	if want := 400.0 / 120 / 8; policy.Budget.LeaseCents < want*0.9 || policy.Budget.LeaseCents > want*1.1 {
		t.Errorf("the lease of each of 8 instances is %v cents an epoch, want %v", policy.Budget.LeaseCents, want)
	}
}
