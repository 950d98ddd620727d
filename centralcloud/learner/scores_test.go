package learner_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"singularity/centralcloud"
)

// scored gives so many calls of a row, all of them successes before, a score in
// millionths.
func scored(row centralcloud.Row, calls, quality int64) centralcloud.Row {
	row.Rescored += calls
	row.Scored += calls
	row.ScoredQuality += calls * quality
	row.ScoredSquares += calls * (quality * quality / 1_000_000)
	row.Quality -= calls * (1_000_000 - quality)
	row.Squares -= calls * (1_000_000 - quality*quality/1_000_000)
	return row
}

func TestVerdictsDoNotDrownScoresOnceThereAreEnough(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scores          int64
		success, share  float64
		judged, sampled float64
	}{
		{0, 0.99, 0, 1, 1000},
		{20, 0.97, 0.02, 1, 1000},
		{50, 0.3, 1, 0.05, 50},
		{400, 0.3, 1, 0.4, 400},
	} {
		w := newWorld(t, 11, always(1))
		w.add(scored(w.row(0, "essay", cheap, 1000), test.scores, 300_000))
		row, found := w.learn().Row("essay", 1)
		if !found || row.Scored != test.share || row.Judged < test.judged-0.001 || row.Judged > test.judged+0.001 {
			t.Errorf("%d scores: the scored share is %v and the judged one %v, want %v and %v", test.scores, row.Scored, row.Judged, test.share, test.judged)
		}
		arm := armOf(t, w.learn(), "essay", cheap)
		if arm.Success < test.success-0.05 || arm.Success > test.success+0.05 || float64(arm.N) != test.sampled {
			t.Errorf("%d scores: success %v by %d calls, want about %v by %v", test.scores, arm.Success, arm.N, test.success, test.sampled)
		}
	}
}

func TestWhoScoresIsNeitherStrangeNorDoesTheModelChange(t *testing.T) {
	t.Parallel()
	for _, perEpoch := range []int64{0, 3, 8, 10} { // of 10 calls of one node, in the last epochs
		w := newWorld(t, 12, always(1))
		for epoch := range 30 {
			for node := range 4 {
				row := w.row(node, "essay", cheap, 10)
				if node == 0 && epoch >= 24 {
					row = scored(row, perEpoch, 200_000)
				}
				w.add(row)
			}
			w.pass(30)
		}
		if policy := w.learn(); len(policy.DriftEvents) != 0 || len(policy.Quarantined) != 0 {
			t.Errorf("%d scores in each epoch: changes %+v, quarantined %+v", perEpoch, policy.DriftEvents, policy.Quarantined)
		}
	}
}

func TestRowsCountByTheirLatestScores(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 13, always(1))
	row := w.row(0, "essay", cheap, 100)
	fewer := w.row(0, "essay", cheap, 60) // others were deleted
	fewer.Key = row.Key
	rows := []centralcloud.Row{row, scored(row, 30, 0), scored(row, 80, 0), scored(fewer, 60, 0)}
	w.ledger.Add(rows[2])
	want := w.learn().StateHash
	for range 20 {
		again := newWorld(t, 13, always(1))
		order := slices.Concat(rows, rows)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, row := range order {
			again.ledger.Add(row)
		}
		if got := again.learn().StateHash; got != want {
			t.Fatalf("the state is %s, want %s: that of the row whose scores changed last", got, want)
		}
	}
}
