package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/centralcloud"
)

// routedTable has models whose price per token is in their name. Each answers by
// the function that the test gives.
const routedTable = `{"date": "2025-09-30", "models": [
	{"provider": "fake", "model": "at-1", "tier": "small", "context_tokens": 4000, "usd_per_mtok_in": 1, "usd_per_mtok_out": 1},
	{"provider": "fake", "model": "at-2", "tier": "medium", "usd_per_mtok_in": 2, "usd_per_mtok_out": 2},
	{"provider": "other", "model": "at-3", "tier": "medium", "usd_per_mtok_in": 3, "usd_per_mtok_out": 3},
	{"provider": "other", "model": "at-9", "tier": "large", "usd_per_mtok_in": 9, "usd_per_mtok_out": 9},
	{"provider": "other", "model": "unpriced", "tier": "large"},
	{"provider": "absent", "model": "at-4", "tier": "large", "usd_per_mtok_in": 4, "usd_per_mtok_out": 4}]}`

// routed is a router that goes by a policy, and what it logs.
type routed struct {
	*Router
	logged *bytes.Buffer
	policy *centralcloud.Policy // may be exchanged
}

func newRouted(t testing.TB, rows ...centralcloud.PolicyRow) *routed {
	t.Helper()
	return newRoutedTo(t, answers, rows...)
}

func newRoutedTo(t testing.TB, complete func(context.Context, Request) (Response, error), rows ...centralcloud.PolicyRow) *routed {
	t.Helper()
	table, err := ParseTable([]byte(routedTable))
	if err != nil {
		t.Fatal(err)
	}
	r := &routed{logged: new(bytes.Buffer), policy: &centralcloud.Policy{Version: 7, Rows: rows}}
	r.Router, err = NewRouter(table, []Provider{fakeProvider{"fake", complete}, fakeProvider{"other", complete}}, RouterConfig{
		Logger: slog.New(slog.NewTextHandler(r.logged, nil)),
		Policy: func() *centralcloud.Policy { return r.policy },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// arm reads provider/model.
func arm(name string) centralcloud.Arm {
	provider, model, _ := strings.Cut(name, "/")
	return centralcloud.Arm{Provider: provider, Model: model}
}

func arms(names ...string) []centralcloud.Arm {
	var list []centralcloud.Arm
	for _, name := range names {
		list = append(list, arm(name))
	}
	return list
}

func weigh(name string, weight float64) centralcloud.PolicyArm {
	return centralcloud.PolicyArm{Arm: arm(name), Weight: weight, Why: "why " + name}
}

// rowFor is a row for all buckets of a task type.
func rowFor(taskType string, weights ...centralcloud.PolicyArm) centralcloud.PolicyRow {
	return centralcloud.PolicyRow{TaskType: taskType, Bucket: centralcloud.AnyBucket, Arms: weights}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// choose selects for a request.
func (r *routed) choose(t testing.TB, id string) Choice {
	t.Helper()
	call := newCall()
	call.RequestID = id
	if err := r.Select(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	return call.Choice
}

// trip opens the breaker of an arm.
func (r *routed) trip(name string) {
	for range failuresToOpen {
		r.targets[arm(name)].breaker.failed()
	}
}

func TestChoicesFollowThePolicyAndRepeat(t *testing.T) {
	t.Parallel()
	row := rowFor("coder", weigh("fake/at-2", 0.7), weigh("other/at-3", 0.295), weigh("fake/at-1", 0.005))
	row.Fallback = arms("other/at-3", "fake/at-2")
	here, elsewhere := newRouted(t, row), newRouted(t, row)
	const requests = 10_000
	counts := map[string]int{}
	for i := range requests {
		id := fmt.Sprint("request ", i)
		choice := here.choose(t, id)
		counts[choice.Model]++
		if again := elsewhere.choose(t, id); !reflect.DeepEqual(again, choice) {
			t.Fatalf("%s: %+v here, %+v elsewhere", id, choice, again)
		}
		if want := map[string]float64{"at-2": 0.7, "at-3": 0.295, "at-1": 0.005}[choice.Model]; !near(choice.Propensity, want) {
			t.Fatalf("%s with propensity %g, expected %g", choice.Model, choice.Propensity, want)
		}
	}
	// Five standard deviations.
	if n := counts["at-2"]; n < 6770 || n > 7230 {
		t.Errorf("of %d requests %v, expected 7,000 for at-2", requests, counts)
	}
	if n := counts["at-1"]; n < 15 || n > 86 {
		t.Errorf("of %d requests %v, expected 50 for at-1", requests, counts)
	}
	here.policy = &centralcloud.Policy{Version: 8, Rows: []centralcloud.PolicyRow{rowFor("coder", weigh("fake/at-1", 1))}}
	if choice := here.choose(t, "request 1"); choice.Model != "at-1" || choice.PolicyVersion != "8" {
		t.Errorf("%+v, expected the next policy to be followed", choice)
	}
}

func TestChoiceSaysWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	row := rowFor("coder", weigh("fake/at-2", 1))
	row.Fallback = arms("other/at-3", "fake/at-1", "fake/at-2")
	row.Arms[0].CostCents = 2
	row.Arms = append(row.Arms, weigh("fake/at-1", 0))
	want := Choice{
		Provider: "fake", Model: "at-2", Tier: Medium, Bucket: 1, Why: "why fake/at-2", PolicyVersion: "7", Propensity: 1,
		Fallback: arms("fake/at-1", "fake/at-2"), // what the row says nothing of may cost anything
	}
	got := newRouted(t, row).choose(t, "r1")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("chose %+v, expected %+v", got, want)
	}
	document, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(document), `"fallback":[{"provider":"fake","model":"at-1"},`) {
		t.Errorf("checkpoint %s, %v", document, err)
	}
}

func TestRowsAreFoundFromTheBucketToAllTasks(t *testing.T) {
	t.Parallel()
	only := func(taskType string, bucket int, name string) centralcloud.PolicyRow {
		return centralcloud.PolicyRow{TaskType: taskType, Bucket: bucket, Arms: []centralcloud.PolicyArm{weigh(name, 1)}}
	}
	r := newRouted(t,
		only("*", centralcloud.AnyBucket, "fake/at-1"), only("coder", centralcloud.AnyBucket, "fake/at-2"),
		only("math", 2, "other/at-9"), only("*", 0, "other/at-3"))
	for _, test := range []struct{ taskType, want string }{
		{"coder", "at-2"}, {"math", "at-9"}, {"never heard of", "at-1"}, {"tagging", "at-3"},
	} {
		call := newCall()
		call.TaskType = test.taskType
		if err := r.Select(t.Context(), call); err != nil || call.Choice.Model != test.want {
			t.Errorf("%s: %+v, %v; expected %s", test.taskType, call.Choice, err, test.want)
		}
	}
}

// Whoever cannot be asked leaves its share to the others that the policy favours.
func TestChoicesAvoidWhoCannotBeAsked(t *testing.T) {
	t.Parallel()
	shared := []centralcloud.PolicyArm{weigh("fake/at-1", 0.6), weigh("other/at-3", 0.3), weigh("fake/at-2", 0.1)}
	long := strings.Repeat("word ", 3000)
	for name, test := range map[string]struct {
		weights    []centralcloud.PolicyArm
		fallback   []centralcloud.Arm
		open       []string // breakers
		text       string
		want       map[string]float64 // propensities
		why        string
		ofNoPolicy bool
	}{
		"all can":                              {weights: shared, want: map[string]float64{"at-1": 0.6, "at-3": 0.3, "at-2": 0.1}, why: "why fake/at-1"},
		"a breaker is open":                    {weights: shared, open: []string{"fake/at-1"}, want: map[string]float64{"at-3": 0.75, "at-2": 0.25}, why: "why other/at-3; the breaker of fake/at-1 is open"},
		"the request is too long":              {weights: shared, text: long, want: map[string]float64{"at-3": 0.75, "at-2": 0.25}, why: "why other/at-3; fake/at-1 does not hold the request"},
		"not on this node":                     {weights: []centralcloud.PolicyArm{weigh("absent/at-4", 0.5), weigh("fake/at-2", 0.5)}, want: map[string]float64{"at-2": 1}, why: "why fake/at-2; this node cannot ask absent/at-4"},
		"only some that are tried out":         {weights: []centralcloud.PolicyArm{weigh("absent/at-4", 0.98), weigh("other/at-9", 0.01), weigh("fake/at-2", 0.01)}, fallback: arms("absent/at-4", "fake/at-2", "fake/at-1"), want: map[string]float64{"at-2": 1}, why: "first of the fallback order that can be asked; this node cannot ask absent/at-4"},
		"the fallback order goes on":           {weights: []centralcloud.PolicyArm{weigh("fake/at-2", 1)}, fallback: arms("fake/at-2", "other/at-9", "fake/at-1"), open: []string{"fake/at-2"}, want: map[string]float64{"at-1": 1}, why: "first of the fallback order that can be asked; the breaker of fake/at-2 is open"},
		"all breakers are open":                {weights: shared, open: []string{"fake/at-1", "other/at-3", "fake/at-2"}, want: map[string]float64{"at-1": 0.6, "at-3": 0.3, "at-2": 0.1}, why: "the breaker of fake/at-2 is open"},
		"nobody of the row is here":            {weights: []centralcloud.PolicyArm{weigh("absent/at-4", 1)}, want: map[string]float64{"at-2": 1}, why: "policy 7 has nobody for coder here; static table: cheapest of tier medium", ofNoPolicy: true},
		"nobody holds the request":             {weights: []centralcloud.PolicyArm{weigh("fake/at-1", 1)}, text: long, want: map[string]float64{"at-2": 1}, why: "policy 7 has nobody for coder here; static table", ofNoPolicy: true},
		"nobody has a weight":                  {weights: []centralcloud.PolicyArm{weigh("fake/at-1", 0)}, want: map[string]float64{"at-2": 1}, why: "policy 7 has nobody for coder here", ofNoPolicy: true},
		"the row names nobody":                 {want: map[string]float64{"at-2": 1}, why: "policy 7 has nobody for coder here", ofNoPolicy: true},
		"an open breaker of who has no weight": {weights: []centralcloud.PolicyArm{weigh("fake/at-1", 1), weigh("fake/at-2", 0)}, open: []string{"fake/at-2"}, want: map[string]float64{"at-1": 1}, why: "why fake/at-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := rowFor("coder", test.weights...)
			row.Fallback = test.fallback
			r := newRouted(t, row)
			for _, name := range test.open {
				r.trip(name)
			}
			said := false
			for i := range 300 {
				call := newCall()
				call.RequestID = fmt.Sprint("request ", i)
				call.Messages[0].Content += test.text
				if err := r.Select(t.Context(), call); err != nil {
					t.Fatal(err)
				}
				choice := call.Choice
				want, may := test.want[choice.Model]
				if !may || !near(choice.Propensity, want) {
					t.Fatalf("chose %s with propensity %g, expected one of %v", choice.Model, choice.Propensity, test.want)
				}
				if (choice.PolicyVersion == "static") != test.ofNoPolicy {
					t.Fatalf("chose by policy %s: %s", choice.PolicyVersion, choice.Why)
				}
				said = said || strings.HasPrefix(choice.Why, test.why) || strings.HasSuffix(choice.Why, test.why)
			}
			if !said {
				t.Errorf("no choice says %q, one says %q", test.why, r.choose(t, "r1").Why)
			}
		})
	}
}

func TestWithoutAPolicyTheTableDecides(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.policy = nil
	if choice := r.choose(t, "r1"); choice.Why != "static table: cheapest of tier medium" || choice.PolicyVersion != "static" || !reflect.DeepEqual(choice.Fallback, arms("other/at-3")) {
		t.Errorf("%+v", choice)
	}
	r.policy = &centralcloud.Policy{Version: 9}
	if choice := r.choose(t, "r1"); choice.Why != "policy 9 has nobody for coder here; static table: cheapest of tier medium" {
		t.Errorf("%+v, expected that the policy says nothing", choice)
	}
}

func TestOldPoliciesTryNothingOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		row := rowFor("coder", weigh("fake/at-2", 0.74), weigh("other/at-3", 0.24), weigh("fake/at-1", 0.01), weigh("other/at-9", 0.01))
		r := newRouted(t, row)
		r.policy.Received = time.Now()
		seen := func() map[string]bool {
			models := map[string]bool{}
			for i := range 1000 {
				choice := r.choose(t, fmt.Sprint("request ", i))
				models[choice.Model] = true
				if old := time.Since(r.policy.Received) > 5*time.Minute; choice.Stale != old || choice.PolicyVersion != "7" {
					t.Fatalf("%+v after %s", choice, time.Since(r.policy.Received))
				}
				if choice.Stale && choice.Model == "at-2" && !near(choice.Propensity, 0.74/0.98) {
					t.Fatalf("propensity %g, expected that of two arms", choice.Propensity)
				}
			}
			return models
		}
		time.Sleep(5 * time.Minute)
		if models := seen(); len(models) != 4 {
			t.Errorf("chose %v of a policy that is not old yet, expected all four", models)
		}
		time.Sleep(time.Nanosecond)
		if models := seen(); !reflect.DeepEqual(models, map[string]bool{"at-2": true, "at-3": true}) {
			t.Errorf("chose %v of an old policy, expected who is favoured", models)
		}
		fresh := *r.policy
		fresh.Received = time.Now()
		r.policy = &fresh
		if models := seen(); len(models) != 4 {
			t.Errorf("chose %v of a policy that came again, expected all four", models)
		}
	})
}

func TestFallbackIsNoDearerThanWhatIsFavoured(t *testing.T) {
	t.Parallel()
	all := arms("other/unpriced", "other/at-9", "absent/at-4", "other/at-3", "fake/at-2", "fake/at-1")
	costs := func(weights ...centralcloud.PolicyArm) []centralcloud.PolicyArm {
		for i, arm := range weights { // the dearer a token, the fewer of them
			weights[i].CostCents = map[string]float64{"at-1": 5, "at-2": 4, "at-3": 3, "at-9": 1}[arm.Model]
		}
		return weights
	}
	for name, test := range map[string]struct {
		weights   []centralcloud.PolicyArm
		reference string
		want      []centralcloud.Arm
	}{
		"the favourite's price":            {[]centralcloud.PolicyArm{weigh("fake/at-2", 1)}, "", arms("fake/at-2", "fake/at-1")},
		"the dearest favourite's":          {[]centralcloud.PolicyArm{weigh("fake/at-1", 0.9), weigh("other/at-3", 0.1)}, "", arms("other/at-3", "fake/at-2", "fake/at-1")},
		"not of who is tried out":          {[]centralcloud.PolicyArm{weigh("fake/at-2", 0.99), weigh("other/at-9", 0.01)}, "", arms("fake/at-2", "fake/at-1")},
		"the reference's":                  {[]centralcloud.PolicyArm{weigh("fake/at-2", 1), weigh("other/at-3", 0)}, "other/at-3", arms("other/at-3", "fake/at-2", "fake/at-1")},
		"of who is elsewhere, too":         {[]centralcloud.PolicyArm{weigh("absent/at-4", 1)}, "", arms("other/at-3", "fake/at-2", "fake/at-1")},
		"no price, but favoured":           {[]centralcloud.PolicyArm{weigh("other/unpriced", 0.5), weigh("fake/at-1", 0.5)}, "", arms("other/unpriced", "fake/at-1")},
		"by what calls are expected to be": {costs(weigh("other/at-3", 1), weigh("other/at-9", 0), weigh("fake/at-2", 0)), "", arms("other/at-9", "other/at-3")},
	} {
		row := rowFor("coder", test.weights...)
		row.Fallback = all
		r := newRouted(t, row)
		r.policy.Reference = arm(test.reference)
		if got := r.choose(t, "r1").Fallback; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: fallback %v, expected %v", name, got, test.want)
		}
	}
}

func TestFallbackHoldsTheRequest(t *testing.T) {
	t.Parallel()
	row := rowFor("coder", weigh("fake/at-2", 1))
	row.Fallback = arms("fake/at-1", "fake/at-2")
	r := newRouted(t, row)
	call := newCall()
	call.Messages[0].Content = strings.Repeat("word ", 3000)
	if err := r.Select(t.Context(), call); err != nil || !reflect.DeepEqual(call.Choice.Fallback, arms("fake/at-2")) {
		t.Errorf("fallback %v, %v", call.Choice.Fallback, err)
	}
	if fallback := r.choose(t, "short").Fallback; len(fallback) != 2 {
		t.Errorf("fallback %v of a short request: the row's was changed", fallback)
	}
}

// BenchmarkSelect chooses among 20 models by a policy of 200 rows.
func BenchmarkSelect(b *testing.B) {
	const models, tasks = 20, 50
	table := &Table{}
	var weights []centralcloud.PolicyArm
	var order []centralcloud.Arm
	for i := range models {
		model := Model{Provider: "fake", Name: fmt.Sprintf("some-vendor-model-%02d", i), Tier: tiers[i%Buckets], Price: &Price{In: 1, Out: 1}, Context: 100_000}
		table.Models = append(table.Models, model)
		weights = append(weights, weigh("fake/"+model.Name, 1.0/models))
		order = append(order, arm("fake/"+model.Name))
	}
	policy := &centralcloud.Policy{Version: 4711, Received: time.Now()}
	for i := range tasks {
		for bucket := -1; bucket < Buckets; bucket++ {
			policy.Rows = append(policy.Rows, centralcloud.PolicyRow{
				TaskType: fmt.Sprintf("task-%02d", i), Bucket: bucket, Arms: weights, Fallback: order,
			})
		}
	}
	router, err := NewRouter(table, []Provider{fakeProvider{name: "fake"}}, RouterConfig{Policy: func() *centralcloud.Policy { return policy }})
	if err != nil {
		b.Fatal(err)
	}
	call := newCall()
	call.RequestID, call.TaskType = "0198c0de-1234-7abc-8def-0123456789ab", "task-49"
	b.ReportAllocs()
	for b.Loop() {
		if err := router.Select(b.Context(), call); err != nil || call.Choice.PolicyVersion != "4711" {
			b.Fatalf("%+v, %v", call.Choice, err)
		}
	}
}
