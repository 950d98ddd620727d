package learner_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// revised cuts a row into what its node sends while the epoch lasts: whole
// counts that grow.
func revised(row centralcloud.Row) []centralcloud.Row {
	early := row
	early.Revision = max(1, row.Revision/2)
	early.Counters = centralcloud.Counters{Calls: early.Revision, Judged: early.Revision, Latency: centralcloud.SketchOf(1000)}
	if early.Revision == row.Revision {
		return []centralcloud.Row{row}
	}
	return []centralcloud.Row{early, row}
}

func busyWorld(t *testing.T) *world {
	w := newWorld(t, 11, func(_, model string) float64 {
		return map[string]float64{"strong": 0.8, "middle": 0.7, "cheap": 0.6}[model]
	})
	w.live(30, 30, "math", "law")
	w.success = func(string, string) float64 { return 0.2 }
	w.live(12, 30, "math", "law")
	return w
}

func TestAnyOrderOfArrivalLeavesTheSameBytes(t *testing.T) {
	t.Parallel()
	w := busyWorld(t)
	want := encode(t, w.learn())
	if len(quality(w.learn())) == 0 {
		t.Fatal("nothing changed in this world, so the replay of changes is not tested")
	}
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 2))
		var arrivals []centralcloud.Row
		for _, row := range w.rows {
			for _, revision := range revised(row) {
				arrivals = append(arrivals, revision)
				if random.IntN(5) == 0 {
					arrivals = append(arrivals, revision)
				}
			}
		}
		random.Shuffle(len(arrivals), func(i, j int) { arrivals[i], arrivals[j] = arrivals[j], arrivals[i] })

		ledger := learner.NewLedger()
		for i, row := range arrivals {
			ledger.Add(row)
			if i%200 == 0 { // what was learned in between must not matter
				learner.Learn(ledger, w.prices, w.config, time.Unix(w.now-int64(random.IntN(900)), 0))
			}
		}
		if got := encode(t, learner.Learn(ledger, w.prices, w.config, time.Unix(w.now, 0))); got != want {
			t.Fatalf("seed %d: got  %s\nwant %s", seed, got, want)
		}
	}
}

func TestARestartChangesNothing(t *testing.T) {
	t.Parallel()
	w := busyWorld(t)
	restart := func() {
		t.Helper()
		fresh := learner.NewLedger()
		for _, row := range w.rows {
			fresh.Add(row)
		}
		w.ledger.Forget(time.Unix(w.now, 0))
		want := encode(t, w.learn())
		fresh.Forget(time.Unix(w.now, 0))
		if got := encode(t, learner.Learn(fresh, w.prices, w.config, time.Unix(w.now, 0))); got != want {
			t.Fatalf("after a restart at %d: got  %s\nwant %s", w.now, got, want)
		}
	}
	for range 3 {
		restart()
		w.live(5, 30, "math", "law")
	}
	// Whole days later, most of it is forgotten.
	w.pass(26 * 3600)
	w.live(3, 30, "math")
	restart()
}

func TestRepeatedAndOvertakenRowsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, always(1))
	row := w.row(0, "math", cheap, 4)
	newer := row
	newer.Revision = 6
	for _, step := range []struct {
		row  centralcloud.Row
		want bool
	}{{row, true}, {row, false}, {newer, true}, {row, false}, {newer, false}} {
		if got := w.ledger.Add(step.row); got != step.want {
			t.Errorf("Add(revision %d) = %v, want %v", step.row.Revision, got, step.want)
		}
	}
	w.pass(30 * 3600)
	w.ledger.Forget(time.Unix(w.now, 0))
	if newer.Revision = 7; w.ledger.Add(newer) {
		t.Error("a row of yesterday, of which it is not known any more whether it counted, was counted")
	}
}

func TestNextMovesSlowlyExceptAwayFromWhatIsBarred(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 13, func(_, model string) float64 {
		return map[string]float64{"strong": 0.6, "middle": 0.6, "cheap": 0.8}[model]
	})
	w.config.Mode = centralcloud.Utility
	first := learner.Next(w.ledger, w.prices, w.config, nil, time.Unix(w.now, 0))
	if first.Version != 1 {
		t.Errorf("the first version is %d", first.Version)
	}
	w.live(40, 40, "math")
	previous := learner.Next(w.ledger, w.prices, w.config, first, time.Unix(w.now, 0))
	target := armOf(t, previous, "math", cheap).Weight
	if target < 0.8 {
		t.Fatalf("cheap has weight %v", target)
	}

	w.prices = w.prices.With(time.Unix(w.now, 0), price(cheap, 40))
	for want := int64(3); ; want++ {
		next := learner.Next(w.ledger, w.prices, w.config, previous, time.Unix(w.now, 0))
		before, after := armOf(t, previous, "math", cheap).Weight, armOf(t, next, "math", cheap).Weight
		if before-after > 0.2001 || next.Version != want {
			t.Fatalf("version %d moves from %v to %v", next.Version, before, after)
		}
		previous = next
		if after < 0.05 {
			break
		}
		if want > 8 {
			t.Fatalf("cheap still has weight %v", after)
		}
	}

	deny := w.config
	row, _ := previous.Row("math", 1)
	deny.Rules.Deny = []centralcloud.Arm{row.Arms[0].Arm}
	next := learner.Next(w.ledger, w.prices, deny, previous, time.Unix(w.now, 0))
	if weight := armOf(t, next, "math", deny.Rules.Deny[0]).Weight; weight != 0 {
		t.Errorf("the favourite was denied, and keeps weight %v", weight)
	}
}
