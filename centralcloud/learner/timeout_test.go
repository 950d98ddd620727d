package learner_test

import (
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

func TestTimeoutsFitHowLongAnswersTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 31, always(0.8))
	w.call("math", cheap, 2400)
	w.call("math", strong, 400)
	policy := w.learn()
	// Answers take half a second to a second.
	if got := armOf(t, policy, "math", cheap).TimeoutMillis; got < 1400 || got > 1600 {
		t.Errorf("the timeout is %d ms, want 1.5 times what nearly all answers take", got)
	}
	if got := armOf(t, policy, "math", strong).TimeoutMillis; got != 0 {
		t.Errorf("with 400 answers the timeout is %d ms, want none", got)
	}

	w.config.Tasks = map[string]learner.Rules{"math": {Latency: learner.LatencyTarget{Limit: 1200 * time.Millisecond}}}
	if got := armOf(t, w.learn(), "math", cheap).TimeoutMillis; got != 1200 {
		t.Errorf("the timeout is %d ms, want what the rules aim at", got)
	}
	w.config.Tasks = nil

	late := w.row(0, "math", cheap, 100)
	late.Counters = centralcloud.Counters{Errors: map[string]int64{centralcloud.TimedOut: 100}}
	for range 100 {
		late.GivenUp = late.GivenUp.Plus(centralcloud.SketchOf(3_000_000), 1)
	}
	w.add(late)
	if got := armOf(t, w.learn(), "math", cheap).TimeoutMillis; got < 4400 || got > 4600 {
		t.Errorf("with 4 %% given up after 3 s the timeout is %d ms, want half as much again", got)
	}
	w.pass(3 * 3600)
	if got := armOf(t, w.learn(), "math", cheap).TimeoutMillis; got != 0 {
		t.Errorf("three hours later the timeout is %d ms, want none of so old answers", got)
	}
}
