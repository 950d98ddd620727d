package llm

import (
	"encoding/json"
	"testing"
)

func TestPricesAreReadExactly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]NanoDollars{
		"0":       0,
		"0.001":   1,
		"0.05":    50,
		"0.075":   75,
		"0.10":    100,
		"0.1500":  150,
		"1":       1_000,
		"1.25":    1_250,
		"15":      15_000,
		"1000000": 1_000_000_000,
	} {
		if got, err := parseUSDPerMillion(text); got != want || err != nil {
			t.Errorf("%s: %d, %v; expected %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "0.0001", "1e3", "1000000.001", "99999999999999999999", "", ".", "1.2.3", "NaN", "+1", "0x1"} {
		if got, err := parseUSDPerMillion(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestAmountsAreReadExactly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]NanoDollars{"0.50": 500_000_000, "20": 20_000_000_000, "0.000000001": 1, "0": 0} {
		if got, err := ParseDollars(text); got != want || err != nil {
			t.Errorf("%s: %d, %v; expected %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "0.0000000001", "1e3", "99999999999", "", ".", "$5", "5,00"} {
		if got, err := ParseDollars(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestCostCountsCachedTokensOnce(t *testing.T) {
	t.Parallel()
	price := Price{In: 100, Out: 400, Cached: 25, Written: 125, Above: 1_000, Long: &Price{In: 200, Out: 500, Cached: 50, Written: 250}}
	for name, test := range map[string]struct {
		usage Usage
		want  NanoDollars
	}{
		"nothing cached":    {Usage{In: 10, Out: 5}, 3_000},
		"some cached":       {Usage{In: 10, Out: 5, Cached: 4}, 2_700},
		"everything cached": {Usage{In: 10, Out: 5, Cached: 10}, 2_250},
		"some written":      {Usage{In: 10, Out: 5, Cached: 4, Written: 2}, 2_750},
		"nearly long":       {Usage{In: 1_000, Out: 5}, 102_000},
		"long":              {Usage{In: 1_001, Out: 5}, 202_700},
		"long, some cached": {Usage{In: 1_001, Out: 5, Cached: 1_000, Written: 1}, 52_750},
	} {
		if got := price.Cost(test.usage); got != test.want {
			t.Errorf("%s: %d, expected %d", name, got, test.want)
		}
	}
}

func TestCostIsNeverMoreThanTheMost(t *testing.T) {
	t.Parallel()
	for _, model := range DefaultTable().Models {
		for _, usage := range []Usage{
			{In: 500, Out: 100}, {In: 500, Out: 100, Cached: 500}, {In: 500, Out: 100, Written: 500},
			{In: 500_000, Out: 100}, {In: 500_000, Out: 100, Cached: 500_000}, {In: 500_000, Out: 100, Written: 500_000},
		} {
			if cost, most := model.Price.Cost(usage), model.Price.most(usage.In+1, usage.Out); cost > most {
				t.Errorf("%s: %+v costs %d, expected %d at most", model.Name, usage, cost, most)
			}
		}
	}
}

func TestCentsAreDecimals(t *testing.T) {
	t.Parallel()
	for nano, want := range map[NanoDollars]string{
		0:             "0",
		40_000:        "0.004",
		36_500:        "0.00365",
		3:             "3e-7",
		12_345_678:    "1.2345678",
		1_000_000_000: "100",
	} {
		if got, err := json.Marshal(nano.Cents()); string(got) != want || err != nil {
			t.Errorf("%d: %s, %v; expected %s", nano, got, err, want)
		}
	}
}

func TestUsageThatCannotBeTrueIsUnknown(t *testing.T) {
	t.Parallel()
	for _, usage := range []Usage{
		{}, {Out: 1}, {In: -1, Out: 1}, {In: 1, Out: -1}, {In: 1, Cached: 2}, {In: 1, Cached: -1}, {In: 1 << 40}, {In: 1, Out: 1 << 40},
		{In: 2, Written: 3}, {In: 2, Cached: 1, Written: 2}, {In: 1, Written: -1},
	} {
		if usage.Known() {
			t.Errorf("%+v counts as known", usage)
		}
	}
	if usage := (Usage{In: 3, Out: 4, Cached: 2}); !usage.Known() || usage.Total() != 7 {
		t.Errorf("%+v: known %t, total %d", usage, usage.Known(), usage.Total())
	}
}
