package hub_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// stepCalls is an update of calls that steps made in one epoch: how many, of which
// so many failed. Up to 64 of each kind are samples.
func stepCalls(id string, epoch int64, steps map[string][2]int64) centralcloud.Update {
	tally := centralcloud.NewTally(id, id+"-boot")
	for step, n := range steps {
		for i := range n[0] {
			class := ""
			if i < n[1] {
				class = "overload"
			}
			document := fmt.Sprintf(`{"workflow":"w","step":%q,"attempt":1,"provider":"p","model":"cheap","task_type":"math","cost_nanodollars":1000,
				"latency_us":900000,"error_class":%q,"propensity":1}`, step, class)
			tally.Add(centralcloud.Record{ID: fmt.Sprintf("%s-%s-%d-%d/1/0", id, step, epoch, i), At: time.Unix(epoch, 0), Doc: []byte(document)})
		}
	}
	update := centralcloud.Update{Type: centralcloud.TypeResults, Instance: sender(id)}
	update.Counters, update.Samples = tally.Changed(nil)
	return update
}

// lesson waits for a lesson to an instance that is as it should be.
func (w *world) lesson(id, what string, is func(centralcloud.Lesson) bool) centralcloud.Lesson {
	w.Helper()
	return await(w, what+" for "+id, func() (centralcloud.Lesson, bool) {
		messages, err := w.Read(w.Context(), centralcloud.DownQueue(id), time.Minute, 1)
		w.must(err)
		if len(messages) == 0 {
			return centralcloud.Lesson{}, false
		}
		_, err = w.Delete(w.Context(), centralcloud.DownQueue(id), messages[0].ID)
		w.must(err)
		for _, lesson := range w.learn(id, messages[0]) {
			if is(lesson) {
				return lesson, true
			}
		}
		return centralcloud.Lesson{}, false
	})
}

// pupil is what an instance knows.
type pupil struct {
	learned  *centralcloud.Learned
	assembly centralcloud.Assembly
}

// learn has an instance learn a message, and ask for what is missing. It returns the
// lessons that it heard, of policies those that are whole.
func (w *world) learn(id string, message centralcloud.Message) []centralcloud.Lesson {
	w.Helper()
	p := w.pupils[id]
	if p == nil {
		p = &pupil{learned: &centralcloud.Learned{}}
		w.pupils[id] = p
	}
	lessons, err := centralcloud.DecodeLearning(message.Body)
	w.must(err)
	complete, gap, err := p.assembly.Complete(p.learned.Policy, p.learned.News(lessons))
	w.must(err)
	p.learned, err = p.learned.With(complete)
	w.must(err)
	if gap {
		w.join(id, p.learned.Versions()[centralcloud.TypeModelRouting])
	}
	isPolicy := func(l centralcloud.Lesson) bool { return l.Type == centralcloud.TypeModelRouting }
	policies := slices.DeleteFunc(complete, func(l centralcloud.Lesson) bool { return !isPolicy(l) })
	return append(slices.DeleteFunc(lessons, isPolicy), policies...)
}

const badStep = "failing_step:w:bad:p/cheap"

func holds(lesson centralcloud.Lesson) bool { return lesson.Name == badStep && !lesson.Withdrawn() }

func isWithdrawn(lesson centralcloud.Lesson) bool {
	return lesson.Name == badStep && lesson.Withdrawn()
}

func TestHubTeachesAPatternAndWithdrawsItOnceItHoldsNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join("n1", 0)
	epoch := lately() - 300
	for i := range int64(4) {
		for _, id := range []string{"n1", "other"} {
			w.send(stepCalls(id, epoch+30*i, map[string][2]int64{"bad": {40, 20}, "good": {40, 1}}))
		}
	}
	stop := w.start("a")
	found := w.lesson("n1", "a pattern", holds)
	finding, err := patterns.Decode(found.Document)
	w.must(err)
	if finding.Kind != patterns.FailingStep || finding.N < 200 || finding.Interval[0] < finding.Threshold || found.Version == 0 {
		t.Errorf("version %d of the pattern is %s", found.Version, finding)
	}

	stop()
	w.start("b")
	w.join("n2", 0)
	if again := w.lesson("n2", "the pattern", holds); again.Version < found.Version {
		t.Errorf("the next hub teaches version %d after %d", again.Version, found.Version)
	}
	w.lesson("n1", "the pattern, from the next hub", holds)

	for i := range int64(4) {
		w.send(stepCalls("other", epoch+120+30*i, map[string][2]int64{"bad": {2000, 10}, "good": {40, 1}}))
	}
	for _, id := range []string{"n1", "n2"} {
		if gone := w.lesson(id, "the end of the pattern", isWithdrawn); gone.Version <= found.Version {
			t.Errorf("%s: version %d is withdrawn by %d", id, found.Version, gone.Version)
		}
	}
	lessons, err := w.Lessons(t.Context())
	w.must(err)
	if holding, err := patterns.Holding(lessons); err != nil || len(holding) > 0 {
		t.Errorf("there still is %v, %v", holding, err)
	}
}

func TestHubTeachesBenchmarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("a")
	w.join("n1", 0)
	w.send(stepCalls("n1", lately(), map[string][2]int64{"good": {40, 4}}))
	lesson := w.lesson("n1", "benchmarks", func(l centralcloud.Lesson) bool { return l.Type == centralcloud.TypePerformanceBenchmark })
	benchmarks, err := patterns.DecodeBenchmarks(lesson.Document)
	w.must(err)
	if len(benchmarks.Models) != 2 || benchmarks.Models[1].Calls != 40 || benchmarks.Models[1].Errors["overload"] != 0.1 {
		t.Errorf("benchmarks are %+v", benchmarks)
	}
}

func TestHubTeachesWhatItSaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("a")
	w.join("n1", 0)
	w.send(stepCalls("n1", lately(), map[string][2]int64{"good": {40, 0}}))
	lesson := w.lesson("n1", "savings", func(l centralcloud.Lesson) bool { return l.Type == centralcloud.TypeCostOptimization })
	saved, err := patterns.DecodeSavings(lesson.Document)
	w.must(err)
	if saved.Reference != strong || len(saved.Tasks) != 1 || saved.Tasks[0].Calls != 40 || saved.SpentCents != 0.004 || saved.Tasks[0].Advice == "" {
		t.Errorf("savings are %+v", saved)
	}
	if learned := w.pupils["n1"].learned; learned.Savings.Settings["models"] == nil {
		t.Errorf("the node learned %+v", learned.Savings)
	}
}
