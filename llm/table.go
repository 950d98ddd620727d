package llm

import (
	_ "embed"
	"slices"
	"sync"

	"singularity/centralcloud"
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
	// MaxTokens is how many tokens an answer may have; 0 when it is not known. It is
	// what requests ask for, as some providers insist.
	MaxTokens int64
}

// Arm is what policies call the model.
func (m Model) Arm() centralcloud.Arm {
	return centralcloud.Arm{Provider: m.Provider, Model: m.Name}
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
