package centralcloud_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
)

func TestCountersAddUpWhateverTheOrder(t *testing.T) {
	t.Parallel()
	parts := []centralcloud.Counters{
		{Calls: 3, Judged: 2, Successes: 1, Quality: 1_500_000, Squares: 1_250_000, TokensIn: 10, TokensOut: 20, Cost: 5, Latency: centralcloud.SketchOf(1500)},
		{Calls: 1, Errors: map[string]int64{"timeout": 2}, Retries: 1, InversePropensity: 4_000_000, Latency: centralcloud.SketchOf(90)},
		{Calls: 1, Errors: map[string]int64{"timeout": 1, "content": 1}, Latency: centralcloud.SketchOf(1500)},
	}
	var forwards, backwards centralcloud.Counters
	for i := range parts {
		forwards.Merge(parts[i])
		backwards.Merge(parts[len(parts)-1-i])
	}
	if a, b := encode(t, forwards), encode(t, backwards); !bytes.Equal(a, b) {
		t.Errorf("in order %s, backwards %s", a, b)
	}
	if got := forwards.Unavailable(); got != 3 {
		t.Errorf("Unavailable() = %d, want the 3 timeouts without the refusal", got)
	}
	for _, part := range parts {
		forwards.Remove(part)
	}
	if got, want := encode(t, forwards), encode(t, centralcloud.Counters{}); !bytes.Equal(got, want) {
		t.Errorf("after all were removed: %s, want %s", got, want)
	}
	if parts[1].Errors["timeout"] != 2 {
		t.Error("merging changed what was merged")
	}
}

func TestCountersThatCannotBeTrueAreNotPlausible(t *testing.T) {
	t.Parallel()
	if good := (centralcloud.Counters{Calls: 2, Judged: 1, Successes: 1, Quality: 1_000_000, Squares: 1_000_000}); !good.Plausible() {
		t.Errorf("%+v is not plausible", good)
	}
	for _, bad := range []centralcloud.Counters{
		{Calls: -1},
		{Calls: 1, Judged: 2},
		{Calls: 2, Judged: 1, Successes: 2},
		{Calls: 1, Judged: 1, Quality: 2_000_000},
		{Calls: 1, Judged: 1, Quality: 500_000, Squares: 600_000},
		{TokensIn: 1 << 60},
		{Errors: map[string]int64{"timeout": -3}},
	} {
		if bad.Plausible() {
			t.Errorf("%+v is plausible", bad)
		}
	}
}

func TestEpochsBeginAtMultiplesOfTheirLength(t *testing.T) {
	t.Parallel()
	for second, want := range map[int64]int64{0: 0, 29: 0, 30: 30, 61: 60, -1: -30, -30: -30} {
		if got := centralcloud.EpochOf(second); got != want {
			t.Errorf("EpochOf(%d) = %d, want %d", second, got, want)
		}
	}
}

func TestQuantilesAreRightToOnePercent(t *testing.T) {
	t.Parallel()
	var counters centralcloud.Counters
	for i := int64(1); i <= 2000; i++ {
		counters.Merge(centralcloud.Counters{Latency: centralcloud.SketchOf(i * 1000)})
	}
	for _, q := range []float64{0.05, 0.5, 0.95, 0.999} {
		want := q * 2_000_000
		if got := float64(counters.Latency.Quantile(q)); math.Abs(got-want) > 0.011*want+1000 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if got := counters.Latency.Within(1_000_000); got < 990 || got > 1020 {
		t.Errorf("within a second: %d, want about 1000", got)
	}
}

func FuzzSketchDecodes(f *testing.F) {
	f.Add([]byte(`[[3,1],[7,2]]`))
	f.Add([]byte(`[[7,2],[3,1]]`))
	f.Add([]byte(`[[-1,2]]`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var sketch centralcloud.Sketch
		if json.Unmarshal(document, &sketch) != nil {
			return
		}
		sketch.Quantile(0.5)
		sketch.Within(1000)
		var again centralcloud.Sketch
		if err := json.Unmarshal(encode(t, sketch), &again); err != nil {
			t.Errorf("%s was read, written and then not read: %v", document, err)
		}
	})
}

func TestRowsFallBackFromBucketToTypeToAll(t *testing.T) {
	t.Parallel()
	policy := &centralcloud.Policy{Rows: []centralcloud.PolicyRow{
		{TaskType: centralcloud.AnyTask, Bucket: centralcloud.AnyBucket, N: 1},
		{TaskType: "math", Bucket: centralcloud.AnyBucket, N: 2},
		{TaskType: "math", Bucket: 2, N: 3},
	}}
	for _, c := range []struct {
		taskType string
		bucket   int
		want     float64
	}{{"math", 2, 3}, {"math", 0, 2}, {"law", 2, 1}} {
		if row, found := policy.Row(c.taskType, c.bucket); !found || row.N != c.want {
			t.Errorf("Row(%s, %d) is row %v, want %v", c.taskType, c.bucket, row.N, c.want)
		}
	}
}

func TestDrawsFollowTheWeights(t *testing.T) {
	t.Parallel()
	weigh := func(model string, weight float64) centralcloud.PolicyArm {
		return centralcloud.PolicyArm{Arm: centralcloud.Arm{Provider: "p", Model: model}, Weight: weight}
	}
	row := centralcloud.PolicyRow{Arms: []centralcloud.PolicyArm{weigh("a", 0.7), weigh("b", 0.3), weigh("c", 0)}}
	all := func(int) bool { return true }
	counts := map[string]int{}
	for i := range 10_000 {
		picked, propensity, found := row.Pick(centralcloud.Draw(string(rune('a'+i%26))+time.Duration(i).String(), "math", 1, 7), all)
		arm := row.Arms[picked]
		if !found || propensity != arm.Weight {
			t.Fatalf("arm %v with propensity %v, found %v", arm, propensity, found)
		}
		counts[arm.Model]++
	}
	if counts["a"] < 6800 || counts["a"] > 7200 || counts["c"] != 0 {
		t.Errorf("of 10,000 draws: %v, want about 7,000 a and no c", counts)
	}
	if picked, propensity, _ := row.Pick(0.1, func(i int) bool { return i != 0 }); picked != 1 || propensity != 1 {
		t.Errorf("without a: arm %d with propensity %v, want b with 1", picked, propensity)
	}
	if _, _, found := row.Pick(0.1, func(i int) bool { return i == 2 }); found {
		t.Error("an arm without a weight was picked")
	}
}

// Choices of the past are replayed by it.
func TestDrawsAreTheSameForEver(t *testing.T) {
	t.Parallel()
	for i, id := range []string{"r-1", "\"quoted\" \n é", strings.Repeat("long", 200)} {
		text := fmt.Sprintf("%q %q %d %d", id, "math", 1, 7)
		sum := sha256.Sum256([]byte(text))
		want := float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
		if got := centralcloud.Draw(id, "math", 1, 7); got != want {
			t.Errorf("draw %d: %v, want %v", i, got, want)
		}
	}
}

func TestFallbacksSayNothingOfPropensities(t *testing.T) {
	t.Parallel()
	call := centralcloud.Call{Arm: centralcloud.Arm{Provider: "p", Model: "m"}, Propensity: 0.5}
	if got := call.Counters(nil); got.InversePropensity != 2_000_000 || got.Calls != 1 {
		t.Errorf("a call counts as %+v", got)
	}
	call.Fallback = true
	if got := call.Counters(nil); got.InversePropensity != 0 || got.Calls != 1 || got.Successes != 1 {
		t.Errorf("a fallback counts as %+v", got)
	}
}

func TestPoliciesSurviveTheirEncoding(t *testing.T) {
	t.Parallel()
	policy := &centralcloud.Policy{
		Version: 3, MadeAt: time.Unix(1_700_000_000, 0).UTC(), Mode: centralcloud.Reference,
		Rows: []centralcloud.PolicyRow{{TaskType: "math", Bucket: centralcloud.AnyBucket, Arms: []centralcloud.PolicyArm{
			{Arm: centralcloud.Arm{Provider: "p", Model: "m"}, Weight: 1, CostCents: 0.0041, Why: "the only one"},
		}}},
	}
	document, err := policy.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := centralcloud.DecodePolicy(document)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decoded.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(document, again) {
		t.Errorf("encoded %s\nagain   %s", document, again)
	}
	if _, err := centralcloud.DecodePolicy([]byte(`{"version":"x"}`)); err == nil {
		t.Error("a version that is no number was accepted")
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	document, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return document
}
