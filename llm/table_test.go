package llm

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestDefaultModelsCoverEveryTier(t *testing.T) {
	t.Parallel()
	table := DefaultTable()
	for _, provider := range []string{"openai", "anthropic", "gemini", "simulated"} {
		for bucket, tier := range tiers {
			choice, err := table.choose(Bucket(bucket), 100, []string{provider})
			if err != nil || choice.Tier != tier {
				t.Errorf("%s, bucket %d: %+v, %v", provider, bucket, choice, err)
			}
		}
	}
	for _, model := range table.Models {
		if model.Price == nil || model.Price.In <= 0 || model.Price.Out <= 0 || model.Price.Cached <= 0 {
			t.Errorf("%s/%s has no price", model.Provider, model.Name)
		}
	}
}

func TestModelsAreReadFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "models.json")
	document := `{"date": "2025-09-30", "source": "a list", "models": [
		{"provider": "p", "model": "priced", "tier": "small", "usd_per_mtok_in": 0.05, "usd_per_mtok_out": 0.4},
		{"provider": "p", "model": "cached", "tier": "medium", "usd_per_mtok_in": 1, "usd_per_mtok_out": 2, "usd_per_mtok_cached_in": 0.5, "usd_per_mtok_cache_write": 1.25, "context_tokens": 8192, "max_answer_tokens": 1024},
		{"provider": "p", "model": "free", "tier": "large", "usd_per_mtok_in": 0, "usd_per_mtok_out": 0},
		{"provider": "q", "model": "priced", "tier": "large"},
		{"provider": "q", "model": "long", "tier": "large", "usd_per_mtok_in": 1, "usd_per_mtok_out": 2,
		 "long_requests": {"above_tokens": 200000, "usd_per_mtok_in": 3, "usd_per_mtok_out": 4, "usd_per_mtok_cached_in": 0.3}}]}`
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := LoadTable(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Table{Date: "2025-09-30", Models: []Model{
		{Provider: "p", Name: "priced", Tier: Small, Price: &Price{In: 50, Out: 400, Cached: 50, Written: 50}},
		{Provider: "p", Name: "cached", Tier: Medium, Price: &Price{In: 1000, Out: 2000, Cached: 500, Written: 1250}, Context: 8192, MaxTokens: 1024},
		{Provider: "p", Name: "free", Tier: Large, Price: &Price{}},
		{Provider: "q", Name: "priced", Tier: Large},
		{Provider: "q", Name: "long", Tier: Large, Price: &Price{
			In: 1000, Out: 2000, Cached: 1000, Written: 1000,
			Above: 200_000, Long: &Price{In: 3000, Out: 4000, Cached: 300, Written: 3000},
		}},
	}}
	if !reflect.DeepEqual(table, want) {
		t.Errorf("read %+v, expected %+v", table, want)
	}
}

func TestTableOfTheDocumentationIsOne(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	_, document, _ := strings.Cut(string(text), "```json\n")
	document, _, _ = strings.Cut(document, "```")
	table, err := ParseTable([]byte(document))
	if err != nil || len(table.Models) != 2 || table.Models[1].Price.Long == nil {
		t.Errorf("%+v, %v", table, err)
	}
}

func TestBadTablesAreRefusedByEntry(t *testing.T) {
	t.Parallel()
	entry := func(fields string) string {
		return `{"date": "2025-09-30", "models": [{"provider": "p", "model": "good", "tier": "small"}, {` + fields + `}]}`
	}
	for name, test := range map[string]struct{ document, want string }{
		"not JSON":           {`{`, "not a table of models"},
		"an array":           {`[]`, "not a table of models"},
		"unknown field":      {entry(`"provider": "p", "model": "m", "tier": "small", "price": 1`), `unknown field "price"`},
		"trailing data":      {`{"date": "2025-09-30", "models": [{"provider": "p", "model": "m", "tier": "small"}]} {}`, "data after"},
		"no date":            {`{"models": [{"provider": "p", "model": "m", "tier": "small"}]}`, `date ""`},
		"no models":          {`{"date": "2025-09-30"}`, "expected at least one"},
		"no provider":        {entry(`"model": "m", "tier": "small"`), "models[1] (/m): provider: is missing"},
		"no model":           {entry(`"provider": "p", "tier": "small"`), "models[1] (p/): model: is missing"},
		"twice":              {entry(`"provider": "p", "model": "good", "tier": "small"`), "models[1] (p/good): is in the table twice"},
		"no such tier":       {entry(`"provider": "p", "model": "m", "tier": "huge"`), `models[1] (p/m): tier: "huge" is none`},
		"half a price":       {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": 1`), "models[1] (p/m): price: is incomplete"},
		"only a cache price": {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_cached_in": 1`), "models[1] (p/m): price: is incomplete"},
		"negative price":     {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": -1, "usd_per_mtok_out": 1`), "models[1] (p/m): usd_per_mtok_in: -1"},
		"too fine a price":   {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": 1, "usd_per_mtok_out": 0.00001`), "models[1] (p/m): usd_per_mtok_out: 0.00001"},
		"negative context":   {entry(`"provider": "p", "model": "m", "tier": "small", "context_tokens": -5`), "models[1] (p/m): context_tokens: -5"},
		"negative answer":    {entry(`"provider": "p", "model": "m", "tier": "small", "max_answer_tokens": -5`), "models[1] (p/m): max_answer_tokens: -5"},
		"long from nowhere":  {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": 1, "usd_per_mtok_out": 1, "long_requests": {"usd_per_mtok_in": 1}`), "models[1] (p/m): long_requests.above_tokens: 0"},
		"long without price": {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": 1, "usd_per_mtok_out": 1, "long_requests": {"above_tokens": 1}`), "models[1] (p/m): long_requests: has no price"},
		"half a long price":  {entry(`"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": 1, "usd_per_mtok_out": 1, "long_requests": {"above_tokens": 1, "usd_per_mtok_in": 1}`), "models[1] (p/m): long_requests.price: is incomplete"},
		"two problems":       {entry(`"provider": "", "model": "m", "tier": "huge"`), "tier: \"huge\""},
	} {
		table, err := ParseTable([]byte(test.document))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, expected %q", name, err, test.want)
		}
		if table != nil {
			t.Errorf("%s: a table came with the error", name)
		}
	}
	if _, err := LoadTable(filepath.Join(t.TempDir(), "absent.json")); err == nil || !strings.Contains(err.Error(), "absent.json") {
		t.Errorf("absent file: %v", err)
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add(defaultTable)
	f.Add([]byte(`{"date": "2025-09-30", "models": [{"provider": "p", "model": "m", "tier": "small", "usd_per_mtok_in": 1e3, "usd_per_mtok_out": "1"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		table, err := ParseTable(document)
		if err != nil {
			return
		}
		for _, model := range table.Models {
			if found, ok := table.Find(model.Provider, model.Name); !ok || found != model {
				t.Errorf("%s/%s is not found as itself", model.Provider, model.Name)
			}
			if price := model.Price; price != nil && (price.In < 0 || price.Out < 0 || price.Cached < 0) {
				t.Errorf("%s/%s has the price %+v", model.Provider, model.Name, *price)
			}
		}
		for bucket := range Bucket(Buckets) {
			if _, err := table.choose(bucket, 0, []string{table.Models[0].Provider}); err != nil {
				t.Errorf("bucket %d: %v", bucket, err)
			}
		}
	})
}
