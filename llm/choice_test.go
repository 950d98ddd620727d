package llm

import (
	"strings"
	"testing"

	"singularity/workflow"
)

func TestChoiceIsTheCheapestThatFits(t *testing.T) {
	t.Parallel()
	price := func(in, out NanoDollars) *Price { return &Price{In: in, Out: out, Cached: in} }
	table := &Table{Models: []Model{
		{Provider: "p", Name: "small-dear", Tier: Small, Price: price(200, 800), Context: 1_000_000},
		{Provider: "p", Name: "small-cheap", Tier: Small, Price: price(100, 400), Context: 8_000},
		{Provider: "p", Name: "small-tied", Tier: Small, Price: price(100, 400)},
		{Provider: "p", Name: "small-free", Tier: Small},
		{Provider: "p", Name: "large", Tier: Large, Price: price(2_000, 8_000), Context: 100_000},
		{Provider: "q", Name: "medium", Tier: Medium, Price: price(400, 1_600), Context: 8_000},
		{Provider: "r", Name: "unpriced", Tier: Medium},
		{Provider: "s", Name: "only-small", Tier: Small, Price: price(100, 400)},
	}}
	for name, test := range map[string]struct {
		bucket    Bucket
		tokens    int64
		providers string
		want, why string
	}{
		"the cheapest of its tier":    {0, 100, "p", "small-cheap", "static table: cheapest of tier small"},
		"one with room":               {0, 7_000, "p", "small-tied", "static table: cheapest of tier small"},
		"a larger tier before less":   {1, 100, "p", "large", "static table: cheapest of tier large; nothing of tier medium fits"},
		"another provider's model":    {1, 100, "p q", "medium", "static table: cheapest of tier medium"},
		"a smaller tier at last":      {2, 100, "s", "only-small", "static table: cheapest of tier small; nothing of tier large fits"},
		"one without a price at last": {0, 100, "r", "unpriced", "static table: first of tier medium, without a price; nothing of tier small fits"},
		"a price before the tier":     {1, 100, "r s", "only-small", "static table: cheapest of tier small; nothing of tier medium fits"},
	} {
		choice, err := table.choose(test.bucket, test.tokens, strings.Fields(test.providers))
		if err != nil || choice.Model != test.want || choice.Why != test.why || choice.Bucket != test.bucket {
			t.Errorf("%s: %+v, %v; expected %s: %s", name, choice, err, test.want, test.why)
		}
		if choice.PolicyVersion != "static" || choice.Propensity != 1 {
			t.Errorf("%s: policy %s, propensity %v", name, choice.PolicyVersion, choice.Propensity)
		}
	}

	_, err := table.choose(1, 50_000, []string{"q"})
	if !workflow.IsPermanent(err) || !strings.Contains(err.Error(), "50000 tokens") {
		t.Errorf("too large a request: %v, expected a permanent error with its size", err)
	}
}

func TestStandInsAreOfTheTierAndNotMuchDearer(t *testing.T) {
	t.Parallel()
	price := func(in NanoDollars) *Price { return &Price{In: in, Out: in} }
	table := &Table{Models: []Model{
		{Provider: "p", Name: "at-5", Tier: Small, Price: price(5)},
		{Provider: "p", Name: "at-2", Tier: Small, Price: price(2)},
		{Provider: "p", Name: "short", Tier: Small, Price: price(2), Context: 100},
		{Provider: "q", Name: "at-4", Tier: Small, Price: price(4)},
		{Provider: "q", Name: "at-3", Tier: Small, Price: price(3)},
		{Provider: "q", Name: "medium", Tier: Medium, Price: price(2)},
		{Provider: "q", Name: "unpriced", Tier: Small},
		{Provider: "p", Name: "local", Tier: Small},
		{Provider: "p", Name: "free", Tier: Large, Price: price(0)},
		{Provider: "q", Name: "not-free", Tier: Large, Price: price(1)},
		{Provider: "q", Name: "free-too", Tier: Large, Price: price(0)},
		{Provider: "absent", Name: "at-1", Tier: Small, Price: price(1)},
	}}
	for _, test := range []struct {
		chosen  string
		dearest float64
		want    string
	}{
		{"p/at-2", 2, "q/at-3 q/at-4"},
		{"p/at-2", 1.5, "q/at-3"},
		{"p/at-2", 1, ""},
		{"q/at-3", 1, "p/at-2"},
		{"q/unpriced", 2, "p/local"},
		{"p/free", 2, "q/free-too"},
	} {
		var got []string
		for _, arm := range table.standIns(arm(test.chosen), 1000, []string{"p", "q"}, test.dearest) {
			got = append(got, arm.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("for %s at %g times its price: %v, expected %s", test.chosen, test.dearest, got, test.want)
		}
	}
}
