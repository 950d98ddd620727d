package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"singularity/benchmarks/queues"
	"singularity/benchmarks/report"
)

// answer is one of an engine whose jobs start after so many milliseconds.
func answer(perSecond float64, milliseconds ...int) queues.Answer {
	var took []time.Duration
	for _, n := range milliseconds {
		took = append(took, time.Duration(n)*time.Millisecond)
	}
	return queues.Answer{EnqueuePerSecond: 10 * perSecond, DrainPerSecond: perSecond, Starts: took, Gaps: took}
}

func TestQueuesAreHeldAgainstTheFloorOfTheirRound(t *testing.T) {
	t.Parallel()
	r := report.Queues{}.Of([]report.QueueSample{
		{Engine: "floor", Round: 0, Answer: answer(100, 2)},
		{Engine: "floor", Round: 1, Answer: answer(400, 1)},
		{Engine: "singularity", Round: 0, Answer: answer(50, 6, 4, 8)},
		{Engine: "singularity", Round: 1, Answer: answer(100, 4)},
		{Engine: "river", Round: 0, Answer: answer(25, 1000)},
		{Engine: "dbos", Round: 0, Answer: answer(5, 12)},
	})
	own := r.Rows[1]
	if own.Engine != "singularity" || own.Drain.Median != 75 || own.Drain.ByFloor != 0.375 || own.Drain.Range != (report.Range{50, 100}) {
		t.Errorf("drained: %+v", own)
	}
	if own.Start.P50.Median != 5 || own.Start.P50.ByFloor != 3.5 || own.Start.Most != 8 || own.Start.Count != 4 {
		t.Errorf("started: %+v", own.Start)
	}
	if len(r.Bests) != 4 || r.Bests[1].Peer != "river" || r.Bests[1].Ratio != 3 || r.Bests[2].Peer != "dbos" || r.Bests[2].Ratio != 5.0/12 {
		t.Errorf("bests: %+v", r.Bests)
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), "| singularity | 5.00 [4.00-6.00] |") {
		t.Errorf("%v, got %s", err, text.String())
	}
}
