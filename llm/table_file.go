package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// LoadTable reads the table in a file, see [ParseTable].
func LoadTable(path string) (*Table, error) {
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load models: %w", err)
	}
	table, err := ParseTable(document)
	if err != nil {
		return nil, fmt.Errorf("load models from %s: %w", path, err)
	}
	return table, nil
}

// tableFile is the table as a file has it. Prices are US dollars for a
// million tokens; a model without them has none.
type tableFile struct {
	Date   string       `json:"date"`
	Source string       `json:"source"` // for people
	Models []modelEntry `json:"models"`
}

type modelEntry struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Tier     Tier   `json:"tier"`
	priceEntry
	Long      *longEntry `json:"long_requests"`
	Context   int64      `json:"context_tokens"`
	MaxTokens int64      `json:"max_answer_tokens"`
}

type priceEntry struct {
	In      *json.Number `json:"usd_per_mtok_in"`
	Out     *json.Number `json:"usd_per_mtok_out"`
	Cached  *json.Number `json:"usd_per_mtok_cached_in"`   // defaults to usd_per_mtok_in
	Written *json.Number `json:"usd_per_mtok_cache_write"` // defaults to usd_per_mtok_in
}

// longEntry is the price of calls with long requests.
type longEntry struct {
	Above int64 `json:"above_tokens"`
	priceEntry
}

// ParseTable reads a table from JSON. Its error names every entry that is
// wrong.
//
//	{"date": "2025-09-30", "models": [
//	  {"provider": "openai", "model": "gpt-5-nano", "tier": "small", "context_tokens": 400000, "max_answer_tokens": 128000,
//	   "usd_per_mtok_in": 0.05, "usd_per_mtok_cached_in": 0.005, "usd_per_mtok_out": 0.4},
//	  {"provider": "gemini", "model": "gemini-2.5-pro", "tier": "large", "context_tokens": 1048576, "max_answer_tokens": 65536,
//	   "usd_per_mtok_in": 1.25, "usd_per_mtok_cached_in": 0.125, "usd_per_mtok_out": 10,
//	   "long_requests": {"above_tokens": 200000, "usd_per_mtok_in": 2.5, "usd_per_mtok_cached_in": 0.25, "usd_per_mtok_out": 15}}]}
func ParseTable(document []byte) (*Table, error) {
	var file tableFile
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("not a table of models: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("not a table of models: data after the JSON document")
	}

	var problems []error
	if _, err := time.Parse(time.DateOnly, file.Date); err != nil {
		problems = append(problems, fmt.Errorf("date %q: expected the day of the prices, such as 2025-09-30", file.Date))
	}
	if len(file.Models) == 0 {
		problems = append(problems, errors.New("models: expected at least one"))
	}
	table := &Table{Date: file.Date}
	for i, entry := range file.Models {
		model, err := entry.model()
		if _, taken := table.Find(entry.Provider, entry.Model); taken {
			err = errors.Join(err, errors.New("is in the table twice"))
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("models[%d] (%s/%s): %w", i, entry.Provider, entry.Model, err))
		}
		table.Models = append(table.Models, model)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return table, nil
}

// model checks the entry and returns every problem of it.
func (e modelEntry) model() (Model, error) {
	var problems problems
	if e.Provider == "" {
		problems.add("provider", "is missing")
	}
	if e.Model == "" {
		problems.add("model", "is missing")
	}
	if !slices.Contains(tiers[:], e.Tier) {
		problems.add("tier", "%q is none; expected one of %q", e.Tier, tiers)
	}
	if e.Context < 0 {
		problems.add("context_tokens", "%d is negative", e.Context)
	}
	if e.MaxTokens < 0 {
		problems.add("max_answer_tokens", "%d is negative", e.MaxTokens)
	}
	model := Model{
		Provider: e.Provider, Name: e.Model, Tier: e.Tier,
		Price: e.price(&problems, ""), Context: e.Context, MaxTokens: e.MaxTokens,
	}
	switch {
	case e.Long == nil:
	case e.Long.Above <= 0:
		problems.add("long_requests.above_tokens", "%d is not positive", e.Long.Above)
	case e.In == nil || e.Long.In == nil:
		problems.add("long_requests", "has no price to be instead of, or no price")
	case model.Price != nil:
		model.Price.Above, model.Price.Long = e.Long.Above, e.Long.price(&problems, "long_requests.")
	}
	return model, errors.Join(problems...)
}

// price returns nil where there is none.
func (e priceEntry) price(problems *problems, path string) *Price {
	if e.In == nil || e.Out == nil {
		if e != (priceEntry{}) {
			problems.add(path+"price", "is incomplete; expected both usd_per_mtok_in and usd_per_mtok_out, or no price at all")
		}
		return nil
	}
	read := func(field string, number *json.Number, otherwise NanoDollars) NanoDollars {
		if number == nil {
			return otherwise
		}
		nano, err := parseUSDPerMillion(number.String())
		if err != nil {
			problems.add(path+field, "%v", err)
		}
		return nano
	}
	in := read("usd_per_mtok_in", e.In, 0)
	return &Price{
		In:      in,
		Out:     read("usd_per_mtok_out", e.Out, 0),
		Cached:  read("usd_per_mtok_cached_in", e.Cached, in),
		Written: read("usd_per_mtok_cache_write", e.Written, in),
	}
}

// problems are those of one entry.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
}
