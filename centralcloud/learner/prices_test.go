package learner_test

import (
	"strings"
	"testing"

	"singularity/centralcloud/learner"
)

func TestPricesAreReadFromCSVAndJSON(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"csv":  "provider,model,usd_per_mtok_in,usd_per_mtok_out,max_input_tokens\np,small,0.0625,0.3,8192\nq,large,1.25,5,\n",
		"json": `[{"model":"small","provider":"p","usd_per_mtok_in":0.0625,"usd_per_mtok_out":0.3},{"model":"large","provider":"q","usd_per_mtok_in":1.25,"usd_per_mtok_out":5}]`,
	} {
		prices, err := learner.ParsePrices(document)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(prices) != 2 || prices[0].In != 62_500 || prices[0].Out != 300_000 || prices[1].String() != "q/large" {
			t.Errorf("%s: %+v", name, prices)
		}
	}
}

func TestWrongPricesAreNamed(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		"model,provider,usd_per_mtok_in\n":                                                  "the header has no column usd_per_mtok_out",
		"model,provider,usd_per_mtok_in,usd_per_mtok_out\nm,p,1,x\n":                        `line 2: usd_per_mtok_out: "x" is no number`,
		"model,provider,usd_per_mtok_in,usd_per_mtok_out\nm,p,1,1\n,p,-1,1\n":               "entry 2 (p/): usd_per_mtok_in: is -1; expected dollars",
		`[{"model":"m","provider":"p","usd_per_mtok_in":NaN}]`:                              "invalid character",
		"model,provider,usd_per_mtok_in,usd_per_mtok_out\nm,p,NaN,1\n":                      "usd_per_mtok_in: is NaN",
		`[{"model":"m","provider":"p","usd_per_mtok_in":1e9,"usd_per_mtok_out":2000000.5}]`: "usd_per_mtok_out: is 2.0000005e+06",
	} {
		if _, err := learner.ParsePrices(document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", document, err, want)
		}
	}
}
