package centralcloud_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
)

// largePolicy is one of so many rows, of 20 models each, as a learner makes them.
func largePolicy(rows int) *centralcloud.Policy {
	random := rand.New(rand.NewPCG(1, 2))
	const models = 20
	policy := &centralcloud.Policy{
		Version: 7, MadeAt: time.Unix(1_800_000_000, 0).UTC(), StateHash: strings.Repeat("a", 32), Mode: centralcloud.Reference, Delta: 0.03,
		Reference: modelOf(models - 1),
	}
	for i := range rows {
		row := centralcloud.PolicyRow{TaskType: fmt.Sprintf("customer-support-%03d", i/4), Bucket: i%4 - 1, N: 812.5, Judged: 0.993}
		for j := range models {
			arm := centralcloud.PolicyArm{
				Arm: modelOf((i + j) % models), Success: 0.913, CI95: [2]float64{0.882, 0.941}, CostCents: 0.000001 * float64(random.IntN(1_000_000)), TokensOut: 412.3,
				P50Millis: 812, P95Millis: 2410, N: 5402, NonInferior: 0.971, Best: 0.031, Availability: 0.998,
				Weight: 0.0005, Why: fmt.Sprintf("right in %.1f %% of draws; what it gets is to notice when it gets better", float64(random.IntN(10))/10),
			}
			switch {
			case j < 2:
				arm.Weight = []float64{0.904321, 0.087654}[j]
				arm.Why = fmt.Sprintf("cheapest within 0.03 of the reference in %d %% of draws", random.IntN(100))
				arm.TimeoutMillis = 12_000
			case j > 15:
				arm.Weight, arm.Barred, arm.Why = 0, true, "dearer than claude-sonnet-4-20250514-019"
			}
			if !arm.Barred {
				row.Fallback = append(row.Fallback, arm.Arm)
			}
			row.Arms = append(row.Arms, arm)
		}
		policy.Rows = append(policy.Rows, row)
	}
	return policy
}

func modelOf(i int) centralcloud.Arm {
	return centralcloud.Arm{Provider: []string{"anthropic", "openai"}[i%2], Model: fmt.Sprintf("claude-sonnet-4-20250514-%03d", i)}
}

// next is a policy of the next version, of which some rows are others.
func next(before *centralcloud.Policy, changed ...int) *centralcloud.Policy {
	after := *before
	after.Version, after.MadeAt = before.Version+1, before.MadeAt.Add(10*time.Second)
	after.Rows = append([]centralcloud.PolicyRow(nil), before.Rows...)
	for _, i := range changed {
		after.Rows[i].Arms = append([]centralcloud.PolicyArm(nil), before.Rows[i].Arms...)
		after.Rows[i].Arms[0].Weight, after.Rows[i].Arms[1].Weight = after.Rows[i].Arms[1].Weight, after.Rows[i].Arms[0].Weight
	}
	return &after
}

// taught are the messages that carry a policy, and how many bytes they have.
func taught(t *testing.T, policy, before *centralcloud.Policy) (messages []centralcloud.Draft, bytes int) {
	t.Helper()
	learnings, err := centralcloud.TeachPolicy(policy, before)
	if err != nil {
		t.Fatal(err)
	}
	if messages, err = centralcloud.EncodeLearnings(learnings...); err != nil {
		t.Fatal(err)
	}
	for _, message := range messages {
		bytes += len(message.Body)
	}
	return messages, bytes
}

// pupil learns as nodes do.
type pupil struct {
	*testing.T
	learned  *centralcloud.Learned
	assembly centralcloud.Assembly
}

// hear takes a message in, and reports whether something is missing.
func (p *pupil) hear(message centralcloud.Draft) (gap bool) {
	p.Helper()
	lessons, err := centralcloud.DecodeLearning(message.Body)
	if err != nil {
		p.Fatal(err)
	}
	complete, gap, err := p.assembly.Complete(p.learned.Policy, p.learned.News(lessons))
	if err != nil {
		p.Fatal(err)
	}
	if p.learned, err = p.learned.With(complete); err != nil {
		p.Fatal(err)
	}
	return gap
}

// wantRules checks that who learned a policy does as the hub's says.
func wantRules(t *testing.T, got, want *centralcloud.Policy) {
	t.Helper()
	if got == nil || got.Version != want.Version || !got.MadeAt.Equal(want.MadeAt) || got.Reference != want.Reference || len(got.Rows) != len(want.Rows) {
		t.Fatalf("the policy in force is %+v, want version %d with %d rows", got, want.Version, len(want.Rows))
	}
	for _, row := range want.Rows {
		learned, _ := got.Row(row.TaskType, row.Bucket)
		var arms []centralcloud.PolicyArm
		for _, arm := range row.Arms {
			if arm.Weight > 0 {
				arms = append(arms, centralcloud.PolicyArm{Arm: arm.Arm, Weight: arm.Weight, CostCents: arm.CostCents, Why: arm.Why, TimeoutMillis: arm.TimeoutMillis})
			}
		}
		if !reflect.DeepEqual(learned.Arms, arms) || !reflect.DeepEqual(learned.Fallback, row.Fallback) {
			t.Fatalf("row %+v, want arms %+v and fallback %+v", learned, arms, row.Fallback)
		}
	}
}

func TestLargePoliciesTravelWhole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rows, messages, bytes int }{
		{rows: 1, messages: 1, bytes: 4_000},
		{rows: 200, messages: 1, bytes: 150_000}, // 4,000 entries
		{rows: 2000, messages: 12, bytes: 1_500_000},
	} {
		policy := largePolicy(test.rows)
		whole, err := policy.Encode()
		if err != nil {
			t.Fatal(err)
		}
		messages, bytes := taught(t, policy, nil)
		t.Logf("%d rows of 20 models: %d bytes in %d messages, of %d bytes at the hub", test.rows, bytes, len(messages), len(whole))
		if len(messages) > test.messages || bytes > test.bytes {
			t.Errorf("%d rows: %d bytes in %d messages, want %d in %d at most", test.rows, bytes, len(messages), test.bytes, test.messages)
		}
		p := &pupil{T: t, learned: &centralcloud.Learned{}}
		for i, message := range messages {
			if p.learned.Policy != nil {
				t.Fatalf("%d rows: the policy is in force after %d of %d messages", test.rows, i, len(messages))
			}
			p.hear(message)
		}
		wantRules(t, p.learned.Policy, policy)
	}
}

func TestPartsOfAPolicyMayComeTwiceAndInAnyOrder(t *testing.T) {
	t.Parallel()
	policy := largePolicy(1000)
	messages, _ := taught(t, policy, nil)
	messages = append(messages, messages...)
	for range 20 {
		rand.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
		p := &pupil{T: t, learned: &centralcloud.Learned{}}
		for _, message := range messages {
			if p.hear(message) {
				t.Fatal("something is missing of a policy that rests on no other")
			}
		}
		wantRules(t, p.learned.Policy, policy)
	}
}

func TestWhereFewRowsChangeOnlyTheyTravel(t *testing.T) {
	t.Parallel()
	first := largePolicy(200)
	p := &pupil{T: t, learned: &centralcloud.Learned{}}
	before := first
	for _, changed := range [][]int{{}, {3}, {0, 17, 199}} {
		policy := next(before, changed...)
		messages, bytes := taught(t, policy, before)
		if before == first {
			all, _ := taught(t, first, nil)
			p.hear(all[0])
		}
		t.Logf("%d of 200 rows changed: %d bytes", len(changed), bytes)
		if len(messages) != 1 || bytes > 500+len(changed)*3_000 {
			t.Errorf("%d rows changed: %d bytes in %d messages", len(changed), bytes, len(messages))
		}
		if p.hear(messages[0]) {
			t.Error("something is missing, although each message arrived")
		}
		wantRules(t, p.learned.Policy, policy)
		before = policy
	}
	fewer := next(before)
	fewer.Rows = append(append([]centralcloud.PolicyRow(nil), before.Rows[:50]...), before.Rows[51:]...)
	messages, _ := taught(t, fewer, before)
	p.hear(messages[0])
	wantRules(t, p.learned.Policy, fewer)

	many := make([]int, 40)
	for i := range many {
		many[i] = i
	}
	if _, bytes := taught(t, next(fewer, many...), fewer); bytes < 50_000 {
		t.Errorf("a fifth of the rows has changed, and %d bytes travel; want all rows", bytes)
	}
}

func TestWhoMissedAChangeKeepsThePolicyUntilItGetsTheWhole(t *testing.T) {
	t.Parallel()
	first := largePolicy(800)
	second := next(first, 1)
	third := next(second, 2)
	whole, _ := taught(t, first, nil)
	change, _ := taught(t, third, second)

	p := &pupil{T: t, learned: &centralcloud.Learned{}}
	if !p.hear(change[0]) {
		t.Error("nothing is missing of a policy whose first version never came")
	}
	for _, message := range whole {
		p.hear(message)
	}
	if !p.hear(change[0]) {
		t.Error("nothing is missing although the second version never came")
	}
	wantRules(t, p.learned.Policy, first)

	again, _ := taught(t, third, nil)
	p.hear(again[1]) // the first is lost, and the next version comes
	fourth := next(third, 3)
	change, _ = taught(t, fourth, third)
	if !p.hear(change[0]) {
		t.Error("nothing is missing of a version of which a part was lost")
	}
	wantRules(t, p.learned.Policy, first)
	again, _ = taught(t, fourth, nil)
	for _, message := range again {
		p.hear(message)
	}
	wantRules(t, p.learned.Policy, fourth)
}

func TestChangesDoNotRestOnAnotherPolicyOfThatVersion(t *testing.T) {
	t.Parallel()
	first := largePolicy(10)
	other := *first
	other.MadeAt = first.MadeAt.Add(-time.Hour) // of a hub whose database was lost
	whole, _ := taught(t, &other, nil)
	change, _ := taught(t, next(first, 1), first)
	p := &pupil{T: t, learned: &centralcloud.Learned{}}
	p.hear(whole[0])
	if !p.hear(change[0]) || p.learned.Policy.Version != 7 {
		t.Errorf("version %d is in force", p.learned.Policy.Version)
	}
	if versions := p.learned.Versions(); versions[centralcloud.TypeModelRouting] != 7 {
		t.Errorf("versions %v", versions)
	}
}
