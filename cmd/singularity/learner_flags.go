package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
	"singularity/llm"
	"singularity/workflow"
)

// learnerFlags say how a hub learns.
type learnerFlags struct {
	reference     string
	mode          string
	delta         float64
	costWeight    float64
	hourlyBudget  dollars
	rules         string
	every         time.Duration
	patternsEvery time.Duration
}

func (f *learnerFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.reference, "reference", "", "of the hub: the `provider/model` that others are held against (default: the cheapest large one)")
	set.StringVar(&f.mode, "mode", string(centralcloud.Reference), "of the hub: reference takes the cheapest model that is about as good as --reference, utility weighs success against money, budget does so within --hourly-budget")
	set.Float64Var(&f.delta, "delta", 0.03, "of the hub: how much less success is about as good")
	set.Float64Var(&f.costWeight, "cost-weight", 0.1, "of the hub, in the modes utility and budget: the success that one call of --reference is worth")
	set.Var(&f.hourlyBudget, "hourly-budget", "of the hub, in the mode budget: what all calls of an hour may cost, in US dollars")
	set.StringVar(&f.rules, "rules", "", "of the hub: a `file` of rules that no estimate may overrule, see docs/centralcloud.md")
	set.DurationVar(&f.every, "learn-every", 10*time.Second, "of the hub: how often it learns")
	set.DurationVar(&f.patternsEvery, "patterns-every", 5*time.Minute, "of the hub: how often it looks for patterns, when there were calls")
}

// hub makes a hub that chooses among the models of some providers.
func (f *learnerFlags) hub(store hub.Store, table *llm.Table, providers []string, log *slog.Logger) (*hub.Hub, error) {
	config, err := f.config(table, providers)
	if err != nil {
		return nil, err
	}
	if err := checkTimes(map[string]time.Duration{"learn-every": f.every, "patterns-every": f.patternsEvery}); err != nil {
		return nil, err
	}
	return hub.New(hub.Config{
		Store: store, Name: workflow.NewRunID().String(), Learner: config, Prices: prices(table, providers),
		Every: f.every, PatternsEvery: f.patternsEvery, Logger: log,
	})
}

// checkTimes looks at the times that some flags were given.
func checkTimes(given map[string]time.Duration) error {
	for flag, every := range given {
		if every <= 0 {
			return usagef("--%s %s: expected a time above 0", flag, every)
		}
	}
	return nil
}

// config is what operators chose, and what the table of models knows.
func (f *learnerFlags) config(table *llm.Table, providers []string) (learner.Config, error) {
	config := learner.Config{}
	if f.rules != "" {
		document, err := os.ReadFile(f.rules)
		if err != nil {
			return config, usagef("--rules: %w", err)
		}
		decoder := json.NewDecoder(bytes.NewReader(document))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&config); err != nil {
			return config, fmt.Errorf("--rules %s: %w", f.rules, err)
		}
	}
	if f.delta <= 0 || f.costWeight <= 0 {
		return config, usagef("--delta %g, --cost-weight %g: expected numbers above 0", f.delta, f.costWeight)
	}
	reference, err := f.referenceIn(table, providers)
	if err != nil {
		return config, err
	}
	config.Mode, config.Reference, config.Delta, config.CostWeight = centralcloud.Mode(f.mode), reference, f.delta, f.costWeight
	config.HourlyBudget = int64(f.hourlyBudget)
	for _, model := range table.Models {
		arm := model.Arm()
		known := slices.ContainsFunc(config.Arms, func(facts learner.ArmFacts) bool { return facts.Arm == arm })
		if !known && slices.Contains(providers, model.Provider) {
			config.Arms = append(config.Arms, learner.ArmFacts{Arm: arm, Prior: priors[model.Tier], Context: model.Context})
		}
	}
	return config, nil
}

// priors are what to expect of a model of which nothing was seen. They weigh as
// much as a call or two.
var priors = map[llm.Tier]float64{llm.Small: 0.6, llm.Medium: 0.7, llm.Large: 0.8}

// referenceIn finds the reference among the models that have a price.
func (f *learnerFlags) referenceIn(table *llm.Table, providers []string) (centralcloud.Arm, error) {
	var best *llm.Model
	for i, model := range table.Models {
		if model.Price == nil || !slices.Contains(providers, model.Provider) {
			continue
		}
		if model.Arm().String() == f.reference {
			return model.Arm(), nil
		}
		if model.Tier == llm.Large && (best == nil || model.Price.Out < best.Price.Out) {
			best = &table.Models[i]
		}
	}
	switch {
	case f.reference != "":
		return centralcloud.Arm{}, usagef("--reference %q: no model of %s is called that and has a price; expected provider/model, as the table of models has them", f.reference, strings.Join(providers, ", "))
	case best == nil:
		return centralcloud.Arm{}, usagef("which model are others to be held against? There is no large one with a price; give --reference")
	}
	return best.Arm(), nil
}

// prices are those of the models that a node with the providers can call.
func prices(table *llm.Table, providers []string) []learner.Price {
	const pico = 1000 // of a nano-dollar
	var list []learner.Price
	for _, model := range table.Models {
		if model.Price != nil && slices.Contains(providers, model.Provider) {
			list = append(list, learner.Price{Arm: model.Arm(), In: int64(model.Price.In) * pico, Out: int64(model.Price.Out) * pico})
		}
	}
	return list
}

// closing closes what an error leaves useless.
func closing(store hubStore, err error) error { return errors.Join(err, store.Close()) }
