package actors

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// score gives the last answer of a run a score.
func score(t testing.TB, node *Node, id workflow.RunID, name string, value float64) workflow.Scored {
	t.Helper()
	scored, err := node.Score(t.Context(), id, workflow.Score{Name: name, Value: value})
	if err != nil {
		t.Fatal(err)
	}
	return scored
}

// wantAllCounted checks that the hub has all that the store has, records and scores
// alike, and each of it once.
func (h *hub) wantAllCounted(t testing.TB, node *Node) {
	t.Helper()
	var want centralcloud.Counters
	var rescored int64
	for _, run := range listed(t, node, "asks") {
		records, err := node.store.RecordsOf(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			call, err := centralcloud.DecodeCall(record.Doc)
			if err != nil {
				t.Fatal(err)
			}
			want.Merge(call.Counters(record.Scores))
			rescored += record.Rescored
		}
	}
	rows := h.counted(t)
	got, _, _ := sums(rows)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the hub has %+v; the store has %+v", got, want)
	}
	for _, row := range rows {
		rescored -= row.Rescored
		if !row.Plausible() {
			t.Errorf("row %+v cannot be true", row)
		}
	}
	if rescored != 0 {
		t.Errorf("the store has %d more changes of scores than the hub", rescored)
	}
}

func TestScoreTakesThePlaceOfTheVerdict(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("first", time.Second, 0), asking("second", time.Second, 1))
		h := newHub()
		node := hubNode(t, memory.New(), h, asks)
		run := start(t, node, asks)
		finish(t, run)
		flush(t, node, "sync")
		if sum := h.wantCounted(t, node); sum.Judged != 2 || sum.Successes != 2 || sum.Scored != 0 {
			t.Fatalf("counters %+v, want two verdicts", sum)
		}
		for _, step := range []struct {
			value     float64
			reply     string
			quality   int64
			successes int64
		}{
			{0.25, `{"messages":1,"counters":1,"samples":0,"boots":1}`, 250_000, 1},
			{0.25, `{"messages":0,"counters":0,"samples":0,"boots":0}`, 250_000, 1},
			{0.75, `{"messages":1,"counters":1,"samples":0,"boots":1}`, 750_000, 2},
		} {
			if scored := score(t, node, run.ID(), "quality", step.value); scored.Step != "second" || scored.Scores["quality"] != step.value {
				t.Errorf("scored %+v", scored)
			}
			if reply := flush(t, node, "sync"); reply != step.reply {
				t.Errorf("%v: reply %s", step.value, reply)
			}
			sum := h.wantCounted(t, node)
			if sum.Judged != 2 || sum.Scored != 1 || sum.ScoredQuality != step.quality || sum.Quality != 1_000_000+step.quality || sum.Successes != step.successes {
				t.Errorf("%v: counters %+v", step.value, sum)
			}
		}
		score(t, node, run.ID(), "speed", 0.25)
		flush(t, node, "sync")
		if sum := h.wantCounted(t, node); sum.Scored != 1 || sum.ScoredQuality != 500_000 {
			t.Errorf("counters %+v, want the mean of both names", sum)
		}
		if scored, err := node.Score(t.Context(), run.ID(), workflow.Score{Name: "quality", Value: 1, Step: "first"}); err != nil || scored.Step != "first" {
			t.Errorf("score of the first step: %+v, %v", scored, err)
		}
		flush(t, node, "sync")
		h.wantAllCounted(t, node)
	})
}

func TestScoreOfADeadNodesCallIsCountedByWhoeverIsThere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newHub()
		c := startHubCluster(t, 2, h, asks)
		dead := c.boot(0)
		var runs []workflow.RunID
		for range 3 {
			run := start(t, c.nodes[0], asks)
			finish(t, run)
			runs = append(runs, run.ID())
		}
		c.kill(0)
		time.Sleep(3 * time.Hour)
		score(t, c.nodes[1], runs[1], "quality", 0)
		time.Sleep(31 * time.Second)
		h.wantAllCounted(t, c.nodes[1])
		for key, row := range h.counted(t) {
			if key.Instance != "a" || key.Boot != string(dead) {
				t.Errorf("row %+v, want one of the dead node", row)
			}
		}
		for _, update := range h.updates(t) {
			if len(update.Counters) > 0 && update.Counters[0].Rescored > 0 && update.ID != "b" {
				t.Errorf("the score comes under the name %s, want that of the node that counted it", update.ID)
			}
		}
		looks := c.links[1].count("rescored")
		time.Sleep(time.Hour)
		if n := c.links[1].count("rescored"); n != looks {
			t.Errorf("%d looks for scores in an hour without any", n-looks)
		}
	})
}

func TestScoreThatADeadNodeTookIsCountedByAnother(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newHub()
		c := startHubCluster(t, 2, h, asks)
		run := start(t, c.nodes[1], asks)
		finish(t, run)
		time.Sleep(time.Minute)
		score(t, c.nodes[0], run.ID(), "quality", 0.5)
		c.kill(0)
		time.Sleep(time.Minute)
		h.wantAllCounted(t, c.nodes[1])
		if sum, _, _ := sums(h.counted(t)); sum.Scored != 1 {
			t.Errorf("counters %+v, want the score", sum)
		}
	})
}

func TestEachScoreCountsOnceAcrossKillsTakeoversAndRepeats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		inBubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			asks := workflow.New("asks", asking("first", 3*time.Second, 1), asking("second", 20*time.Second, 0))
			h := newHub()
			c := startHubCluster(t, 4, h, asks)
			var runs []workflow.RunID
			for range 24 {
				runs = append(runs, start(t, c.nodes[random.IntN(3)], asks).ID())
			}
			// Whether a score is taken or not, the store says.
			judge := func(node *Node) {
				for range 6 {
					value := float64(random.IntN(5)) / 4
					_, _ = node.Score(t.Context(), runs[random.IntN(len(runs))], workflow.Score{Name: []string{"quality", "speed"}[random.IntN(2)], Value: value})
				}
			}
			for i := range 3 { // the last one lives
				time.Sleep(time.Duration(random.IntN(50_000)) * time.Millisecond)
				judge(c.nodes[3])
				judge(c.nodes[i])
				h.set(func() { h.fading = random.IntN(2) == 0 })
				switch random.IntN(3) {
				case 0:
					c.kill(i)
				case 1:
					c.pause(i)
				default:
					stopNode(t, c.nodes[i])
				}
				_, _ = c.nodes[3].Send(t.Context(), "sync", "flush", nil)
			}
			for range 5 {
				time.Sleep(time.Duration(random.IntN(10)) * time.Minute)
				judge(c.nodes[3])
			}
			h.set(func() { h.fading = false })
			for i := range 3 {
				c.resume(i)
			}
			time.Sleep(10 * time.Minute)
			h.wantAllCounted(t, c.nodes[3])
			if sum, _, _ := sums(h.counted(t)); sum.Scored == 0 {
				t.Error("no score was counted")
			}
			if t.Failed() {
				t.Fatalf("with seed %d", seed)
			}
		})
	}
}

func TestScoreNeverTakesCallsAwayThatWereDeleted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		short := workflow.New("short", asking("ask", time.Second, 0))
		asks := workflow.New("asks", asking("ask", time.Second, 0), asking("later", time.Hour, 0).Timeout(2*time.Hour))
		h := newHub()
		policy := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: time.Second}}
		node := startNode(t, memory.New(), Config{Retention: policy, CentralCloud: CentralCloud{Queue: h}}, asks, short)
		time.Sleep(time.Until(time.Now().Truncate(persistence.RecordEpoch).Add(persistence.RecordEpoch)))
		for range 3 {
			start(t, node, short)
		}
		run := start(t, node, asks)
		time.Sleep(20 * time.Minute)
		if n := len(listed(t, node, "short")); n != 0 {
			t.Fatalf("%d short runs are left, want none", n)
		}
		for i := range 5 {
			score(t, node, run.ID(), "quality", float64(i)/8)
		}
		flush(t, node, "sync")
		if sum, records, _ := sums(h.counted(t)); sum.Calls != 4 || records != 4 {
			t.Errorf("%d answers in %d records, want the 4 that there were", sum.Calls, records)
		}
	})
}

func TestScoreAfterADayStaysWithTheRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newHub()
		policy := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: 100 * time.Hour}}
		node := startNode(t, memory.New(), Config{Retention: policy, CentralCloud: CentralCloud{Queue: h}}, asks)
		run := start(t, node, asks)
		finish(t, run)
		time.Sleep(25 * time.Hour)
		before := len(h.updates(t))
		score(t, node, run.ID(), "quality", 0.5)
		if reply := flush(t, node, "sync"); reply != `{"messages":0,"counters":0,"samples":0,"boots":0}` || len(h.updates(t)) != before {
			t.Errorf("reply %s", reply)
		}
		steps, err := node.Steps(t.Context(), run.ID())
		if err != nil || steps[0].Facts[0].Scores["quality"] != 0.5 {
			t.Errorf("steps %+v, %v; want the score", steps, err)
		}
	})
}

func TestScoresThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		fails := workflow.New("fails", asking("ask", time.Second, 9))
		node := startNode(t, memory.New(), Config{}, asks, fails)
		run := start(t, node, asks)
		finish(t, run)
		failed := start(t, node, fails)
		time.Sleep(5 * time.Second)
		for _, test := range []struct {
			run   workflow.RunID
			score workflow.Score
			want  string
			is    error
		}{
			{run.ID(), workflow.Score{Value: 1}, `"name" is ""`, nil},
			{run.ID(), workflow.Score{Name: "two words", Value: 1}, "expected a short name such as quality", nil},
			{run.ID(), workflow.Score{Name: "quality", Value: -0.1}, "expected a number from 0 (useless) to 1 (perfect)", nil},
			{run.ID(), workflow.Score{Name: "quality", Value: 1.01}, "expected a number from 0 (useless) to 1 (perfect)", nil},
			{run.ID(), workflow.Score{Name: "quality", Value: math.NaN()}, "expected a number from 0 (useless) to 1 (perfect)", nil},
			{run.ID(), workflow.Score{Name: "quality", Step: "tell"}, `of step "tell"; there are some of ask`, workflow.ErrNothingToScore},
			{workflow.NewRunID(), workflow.Score{Name: "quality"}, "run not found", workflow.ErrRunNotFound},
			{failed.ID(), workflow.Score{Name: "quality"}, "no answer to score: the run has called no model", workflow.ErrNothingToScore},
		} {
			_, err := node.Score(t.Context(), test.run, test.score)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("score %+v: %v, want an error saying %q", test.score, err, test.want)
			}
		}
	})
}
