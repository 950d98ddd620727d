package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/patterns"
	"singularity/centralcloud/sqlite"
)

// hubWith returns the folder of a hub that has published a policy and taught lessons.
func hubWith(t *testing.T, policy *centralcloud.Policy, lessons ...centralcloud.Lesson) string {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	lead, err := store.Lead(t.Context(), "test", time.Hour)
	if err == nil && policy != nil {
		err = store.Publish(t.Context(), lead, hub.Publication{Policy: policy})
	}
	if err == nil {
		err = store.Teach(t.Context(), lead, lessons, nil, nil)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExplainTellsTimeoutsBudgetAndWhatIsHeldBack(t *testing.T) {
	t.Parallel()
	arm := centralcloud.Arm{Provider: "p", Model: "m"}
	dir := hubWith(t, &centralcloud.Policy{
		Version: 4711, MadeAt: time.Unix(1_700_000_000, 0).UTC(), Mode: centralcloud.Budget, Reference: arm,
		Budget: &centralcloud.BudgetAccount{TargetCents: 400, SpentCents: 390, LeaseCents: 0.4, W: 0.2},
		Rows: []centralcloud.PolicyRow{{
			TaskType: "math", Bucket: centralcloud.AnyBucket, N: 812, Judged: 1, Fallback: []centralcloud.Arm{arm}, Held: "it would be worse",
			Arms: []centralcloud.PolicyArm{{
				Arm: arm, Weight: 1, Success: 0.9, CI95: [2]float64{0.88, 0.92}, CostCents: 0.4, P50Millis: 800, P95Millis: 2400, TimeoutMillis: 9000,
				N: 900, Availability: 1, Why: "the only one",
			}},
		}},
	})
	want := `POLICY        4711
MADE          2023-11-14T22:13:20Z
MODE          budget
REFERENCE     p/m
ROW           math, bucket *
JUDGED CALLS  812, old ones counting less; 100.0 % of the answers were judged
JUDGED BY     0.0 % by scores, 100.0 % by the verdict of the step that asked
EXPECTED      +0.0 % cost and +0.0 % success, held against the reference
FALLBACK      p/m
HELD BACK     the shares are those of an earlier policy: it would be worse
BUDGET        390 of 400 cents were spent in the last hour; a node that does not hear from the hub may spend 0.4 in 30 s

MODEL         SHARE    SUCCESS  95 %       CENTS  P50     P95      TIMEOUT  CALLS  AVAILABLE  WHY
p/m           100.0 %  90.0 %   0.88-0.92  0.4    800 ms  2400 ms  9000 ms  900    100.0 %    the only one
`
	if got := at("", "centralcloud", "explain", "math", "--data-dir", dir).run(t.Context()); got.code != exitDone || got.stdout != want {
		t.Errorf("got %+v, want\n%s", got, want)
	}
	if got := at("", "centralcloud", "policy", "--data-dir", dir).run(t.Context()); !strings.Contains(got.stderr, "math, bucket *, is held back: it would be worse") {
		t.Errorf("got %+v", got)
	}
}

func TestSavingsSayWhatIsSavedAndWhatToDo(t *testing.T) {
	t.Parallel()
	money := patterns.Money{Calls: 720, SpentCents: 72, ReferenceCents: 288, SavedCents: 216, SavedShare: 0.75}
	saved := patterns.Savings{
		MadeAt: time.Unix(1_700_000_000, 0).UTC(), Rule: 1, Reference: centralcloud.Arm{Provider: "q", Model: "large"}, Money: money,
		Tasks: []patterns.TaskSavings{{TaskType: "math", Money: money, SuccessVsReference: -0.02, Advice: "use p/small"}},
	}
	document, err := centralcloud.EncodeSavings(saved, map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	dir := hubWith(t, nil, centralcloud.Lesson{Type: centralcloud.TypeCostOptimization, Version: 1, Document: document})
	want := `TASK TYPE  CALLS  CENTS  WITH THE REFERENCE  SAVED  SHARE    SUCCESS VS REFERENCE  ADVICE
math       720    72     288                 216    +75.0 %  -2.0 %                use p/small
*          720    72     288                 216    +75.0 %
`
	if got := at("", "centralcloud", "savings", "--data-dir", dir).run(t.Context()); got.code != exitDone || got.stdout != want {
		t.Errorf("got %+v, want\n%s", got, want)
	}
	if got := at("", "centralcloud", "savings", "chat", "--data-dir", dir, "-o", "json").run(t.Context()); got.code != exitDone || !strings.Contains(got.stdout, `"tasks":[]`) {
		t.Errorf("got %+v, want no task", got)
	}
	if got := at("", "centralcloud", "savings", "--data-dir", hubWith(t, nil), "-o", "json").run(t.Context()); got.code != exitDone || !strings.Contains(got.stdout, `"calls":0`) {
		t.Errorf("got %+v, want none", got)
	}
}
