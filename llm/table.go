package llm

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Table lists the models that a router chooses from.
type Table struct {
	Date   string // the day its prices were looked up, YYYY-MM-DD
	Models []Model
}

// Model is one entry of the table.
type Model struct {
	Provider string
	Name     string
	Tier     Tier
	Price    *Price // nil when it is not known
	Context  int64  // tokens in and out that it can hold; 0 when it is not known
}

// Tier groups models that can stand in for each other.
type Tier string

// The tiers, by what their models can do.
const (
	Small  Tier = "small"
	Medium Tier = "medium"
	Large  Tier = "large"
)

// tiers is in ascending order: the tier of a [Bucket] is the one at its index.
var tiers = [Buckets]Tier{Small, Medium, Large}

//go:embed models.json
var defaultTable []byte

// DefaultTable returns the table that is built in. It is shared: do not change
// it.
func DefaultTable() *Table { return builtIn() }

var builtIn = sync.OnceValue(func() *Table {
	table, err := ParseTable(defaultTable)
	if err != nil {
		panic("llm: the built-in table of models: " + err.Error())
	}
	return table
})

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
	Provider string       `json:"provider"`
	Model    string       `json:"model"`
	Tier     Tier         `json:"tier"`
	In       *json.Number `json:"usd_per_mtok_in"`
	Out      *json.Number `json:"usd_per_mtok_out"`
	CachedIn *json.Number `json:"usd_per_mtok_cached_in"` // defaults to usd_per_mtok_in
	Context  int64        `json:"context_tokens"`
}

// ParseTable reads a table from JSON. Its error names every entry that is
// wrong.
//
//	{"date": "2025-09-30", "models": [
//	  {"provider": "openai", "model": "gpt-5-nano", "tier": "small", "context_tokens": 400000,
//	   "usd_per_mtok_in": 0.05, "usd_per_mtok_cached_in": 0.005, "usd_per_mtok_out": 0.4}]}
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
	var problems []error
	report := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	price := func(field string, number *json.Number, otherwise NanoDollars) NanoDollars {
		if number == nil {
			return otherwise
		}
		nano, err := parseUSDPerMillion(number.String())
		if err != nil {
			report(field, "%v", err)
		}
		return nano
	}

	if e.Provider == "" {
		report("provider", "is missing")
	}
	if e.Model == "" {
		report("model", "is missing")
	}
	if !slices.Contains(tiers[:], e.Tier) {
		report("tier", "%q is none; expected one of %q", e.Tier, tiers)
	}
	if e.Context < 0 {
		report("context_tokens", "%d is negative", e.Context)
	}
	model := Model{Provider: e.Provider, Name: e.Model, Tier: e.Tier, Context: e.Context}
	switch {
	case e.In != nil && e.Out != nil:
		in := price("usd_per_mtok_in", e.In, 0)
		model.Price = &Price{
			In:     in,
			Out:    price("usd_per_mtok_out", e.Out, 0),
			Cached: price("usd_per_mtok_cached_in", e.CachedIn, in),
		}
	case e.In != nil || e.Out != nil || e.CachedIn != nil:
		report("price", "is incomplete; expected both usd_per_mtok_in and usd_per_mtok_out, or no price at all")
	}
	return model, errors.Join(problems...)
}

// Find returns the entry of a provider's model.
func (t *Table) Find(provider, name string) (Model, bool) {
	i := slices.IndexFunc(t.Models, func(model Model) bool {
		return model.Provider == provider && model.Name == name
	})
	if i < 0 {
		return Model{}, false
	}
	return t.Models[i], true
}
