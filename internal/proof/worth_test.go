package proof

import (
	"fmt"
	"testing"
)

// What is asked of CentralCloud, against always asking the reference.
const (
	mostCost     = 0.75  // for each good answer
	leastSuccess = -0.03 // more or less of it
)

// What no luck may exceed. Whom a request asks is drawn by the version of the
// policy, which depends on how fast everything is, so each run draws anew; in about
// one of twenty, a task stays with the wrong model for long.
const (
	worstCost    = 1.0
	worstSuccess = -0.06
)

// worth is what requests came to, held against the reference.
type worth struct {
	cost    float64 // of a good answer, as a part of what the reference's costs
	success float64 // the difference
}

func worthOf(paid, always account, requests int) worth {
	perSuccess := func(a account) float64 { return float64(a.Cost) / float64(max(1, a.Good)) }
	return worth{perSuccess(paid) / perSuccess(always), float64(paid.Good-always.Good) / float64(requests)}
}

func (w worth) good() bool { return w.cost <= mostCost && w.success >= leastSuccess }

// want expects what is asked for of a run in full, and no disaster of one in short,
// which many run who have not changed a thing here.
func (w worth) want(t *testing.T) {
	t.Helper()
	if !*full {
		w.wantDespiteFaults(t)
		return
	}
	if !w.good() {
		t.Errorf("learned: %s; want at most %.2f, and %+.3f", w, mostCost, leastSuccess)
	}
}

// wantDespiteFaults expects no disaster.
func (w worth) wantDespiteFaults(t *testing.T) {
	t.Helper()
	if w.cost >= worstCost || w.success < worstSuccess {
		t.Errorf("it came to %s; want less than %.2f, and %+.3f", w, worstCost, worstSuccess)
	}
}

func (w worth) String() string {
	return fmt.Sprintf("%.2f of the cost for each good answer, success %+.3f", w.cost, w.success)
}

// worth is that of all requests so far: those of the time when nothing was known as
// well, and whatever failed calls cost.
func (c *cluster) worth() worth {
	return worthOf(c.account().sum(anything), c.table.always(reference, c.requests), c.requests)
}
