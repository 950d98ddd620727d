package llm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"singularity/centralcloud"
	"singularity/workflow"
)

// Choice says which model is to answer a request, and why that one. It is in the
// checkpoint before the call: attempts at it, on whatever node, go by it.
type Choice struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Tier     Tier   `json:"tier"`
	Bucket   Bucket `json:"complexity_bucket"`
	Why      string `json:"why"`

	PolicyVersion string  `json:"policy_version"`
	Propensity    float64 `json:"propensity"`      // the probability that the policy gave this model
	Stale         bool    `json:"stale,omitempty"` // the policy was old

	// Fallback lists who may stand in for the model when it does not answer, in
	// order. The model itself may be among them.
	Fallback []centralcloud.Arm `json:"fallback,omitempty"`
}

func (c Choice) arm() centralcloud.Arm {
	return centralcloud.Arm{Provider: c.Provider, Model: c.Model}
}

// staticPolicy is the policy version of choices by the table alone.
const staticPolicy = "static"

// choose picks a model of one of the providers for a request of so many
// tokens: the cheapest of the tier that the bucket asks for. When no model
// of that tier fits, dearer tiers come before lesser ones, and models without
// a price after all that have one.
func (t *Table) choose(bucket Bucket, tokens int64, providers []string) (Choice, error) {
	fits := func(model Model) bool {
		return slices.Contains(providers, model.Provider) && model.holds(tokens)
	}
	wanted := tiers[bucket]
	for _, priced := range []bool{true, false} {
		for _, tier := range tiersFrom(bucket) {
			model, found := t.cheapest(func(model Model) bool {
				return fits(model) && model.Tier == tier && (model.Price != nil) == priced
			})
			if !found {
				continue
			}
			why := "static table: cheapest of tier " + string(tier)
			if !priced {
				why = fmt.Sprintf("static table: first of tier %s, without a price", tier)
			}
			if tier != wanted {
				why += fmt.Sprintf("; nothing of tier %s fits", wanted)
			}
			return Choice{
				Provider: model.Provider, Model: model.Name, Tier: tier, Bucket: bucket, Why: why,
				PolicyVersion: staticPolicy, Propensity: 1,
			}, nil
		}
	}
	return Choice{}, workflow.Permanent(fmt.Errorf(
		"no model holds a request of about %d tokens; the table of models has none that large for the configured providers (%s)",
		tokens, strings.Join(providers, ", ")))
}

// standIns lists who may stand in for a model that was chosen by the table, the
// cheapest first: models of its tier that hold the request, at so many times its
// price at most. For one whose price is not known, others are whose price is not.
func (t *Table) standIns(chosen centralcloud.Arm, tokens int64, providers []string, dearest float64) []centralcloud.Arm {
	first, _ := t.Find(chosen.Provider, chosen.Model)
	var others []Model
	for _, model := range t.Models {
		if model.Arm() != chosen && model.Tier == first.Tier && (model.Price == nil) == (first.Price == nil) &&
			slices.Contains(providers, model.Provider) && model.holds(tokens) && float64(model.weight()) <= dearest*float64(first.weight()) {
			others = append(others, model)
		}
	}
	slices.SortStableFunc(others, func(a, b Model) int { return cmp.Compare(a.weight(), b.weight()) })
	var order []centralcloud.Arm
	for _, model := range others {
		order = append(order, model.Arm())
	}
	return order
}

// tiersFrom lists every tier: the bucket's own, the larger ones, then the
// smaller ones from the top.
func tiersFrom(bucket Bucket) []Tier {
	order := slices.Clone(tiers[bucket:])
	for i := bucket - 1; i >= 0; i-- {
		order = append(order, tiers[i])
	}
	return order
}

// cheapest returns the eligible model with the lowest price, the first in the
// table among equals. A missing price counts as none.
func (t *Table) cheapest(eligible func(Model) bool) (best Model, found bool) {
	for _, model := range t.Models {
		if eligible(model) && (!found || model.weight() < best.weight()) {
			best, found = model, true
		}
	}
	return best, found
}

func (m Model) weight() NanoDollars {
	if m.Price == nil {
		return 0
	}
	return m.Price.blended()
}

// holds reports whether a request of about so many tokens fits into the
// model. A quarter stays free, for the answer and because tokens is a guess.
func (m Model) holds(tokens int64) bool {
	return m.Context == 0 || tokens <= m.Context*3/4
}
