package patterns_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// world is a cluster whose calls go by chance, at known rates. What it reports is
// counted as nodes count it.
type world struct {
	*testing.T
	random *rand.Rand
	now    time.Time
	runs   int
	boots  []*centralcloud.Tally
}

var (
	small = centralcloud.Arm{Provider: "p", Model: "small"}
	large = centralcloud.Arm{Provider: "q", Model: "large"}
)

func newWorld(t *testing.T, seed uint64) *world { return newWorldOf(t, seed, 3) }

func newWorldOf(t *testing.T, seed uint64, nodes int) *world {
	w := &world{T: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0).UTC()}
	for i := range nodes {
		boot := centralcloud.NewTally(fmt.Sprint("node-", i), fmt.Sprint("boot-", i))
		boot.Seal(centralcloud.Seal("seal"))
		w.boots = append(w.boots, boot)
	}
	return w
}

// habit is how the calls of a step go.
type habit struct {
	step    string
	arm     centralcloud.Arm
	calls   int     // in half a minute
	fails   float64 // share of attempts
	class   string  // of the failures
	print   string
	helps   float64 // share of second attempts that succeed
	latency time.Duration
	timeout time.Duration // at which a call is given up, 0 for never

	questions int     // that there are to ask; 0 when none is asked again
	differ    float64 // share of answers that are not the usual one
	nodes     []int   // that do it; nil for all
}

// usual is how a step goes where nothing stands out.
func usual(step string, arm centralcloud.Arm) habit {
	return habit{step: step, arm: arm, calls: 6, fails: 0.05, class: "overload", print: "00", helps: 0.95, latency: time.Second}
}

// live lets so much time pass, in which steps go by their habits.
func (w *world) live(length time.Duration, habits ...habit) {
	w.Helper()
	const epoch = centralcloud.EpochSeconds * time.Second
	for until := w.now.Add(length); w.now.Before(until); w.now = w.now.Add(epoch) {
		for _, h := range habits {
			for range h.calls {
				w.call(h, w.now.Add(time.Duration(w.random.Int64N(int64(epoch)-int64(time.Second)))))
			}
		}
	}
}

// call makes the attempts of a step of a new run.
func (w *world) call(h habit, at time.Time) {
	w.Helper()
	w.runs++
	boot := w.boots[w.runs%len(w.boots)]
	if h.nodes != nil {
		boot = w.boots[h.nodes[w.runs%len(h.nodes)]]
	}
	question, answer := w.runs, 0
	if h.questions > 0 {
		question = w.random.IntN(h.questions)
	}
	if h.differ > 0 && w.random.Float64() < h.differ {
		answer = w.runs
	}
	cost := int64(1_000_000)
	for attempt := 1; attempt <= 2; attempt++ {
		call := centralcloud.Call{
			Workflow: "w", Step: h.step, Attempt: attempt, Arm: h.arm, TaskType: "math", Cost: &cost, PolicyVersion: "1", Propensity: 1,
			InputDigest: fmt.Sprint(question), AnswerDigest: fmt.Sprint(answer),
			Latency: int64(float64(h.latency.Microseconds()) * (0.5 + w.random.ExpFloat64())),
		}
		chance := h.fails
		if attempt > 1 {
			chance = 1 - h.helps
		}
		switch failed := w.random.Float64() < chance; {
		case h.timeout > 0 && call.Latency > h.timeout.Microseconds():
			call.Latency, call.ErrorClass, call.ErrorPrint = h.timeout.Microseconds(), "timeout", "ff"
		case failed:
			call.ErrorClass, call.ErrorPrint = h.class, h.print
		}
		document, err := json.Marshal(call)
		if err != nil {
			w.Fatal(err)
		}
		boot.Add(centralcloud.Record{
			ID: fmt.Sprintf("run-%d/%d/0", w.runs, attempt), At: at.Add(time.Duration(attempt-1) * time.Millisecond), Doc: document,
		})
		if call.ErrorClass == "" {
			return
		}
	}
}

// evidence is what the rules may look at.
func (w *world) evidence() *patterns.Evidence {
	spans := map[int64]*patterns.Span{}
	of := func(epoch int64) *patterns.Span {
		start := patterns.SpanOf(epoch)
		if spans[start] == nil {
			spans[start] = patterns.NewSpan(start)
		}
		return spans[start]
	}
	for _, boot := range w.boots {
		rows, samples := boot.Changed(nil)
		for _, row := range rows {
			of(row.Epoch).AddRow(row)
		}
		for _, sample := range samples {
			of(sample.At.Unix()).AddSample(sample)
		}
		for _, repeats := range boot.Repeats(rows) {
			of(repeats.Epoch).AddRepeats(repeats)
		}
	}
	evidence := &patterns.Evidence{}
	for _, start := range slices.Sorted(maps.Keys(spans)) {
		evidence.Put(spans[start])
	}
	evidence.Forget(w.now.Add(-patterns.Window))
	return evidence
}

// find returns the findings, of which those of one kind.
func (w *world) find(kind patterns.Kind) (all, ofKind []patterns.Finding) {
	all = patterns.Find(w.evidence(), w.now)
	for _, finding := range all {
		if finding.Kind == kind {
			ofKind = append(ofKind, finding)
		}
	}
	return all, ofKind
}
