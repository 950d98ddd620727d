package main

import (
	"fmt"
	"slices"
	"strings"

	"singularity/llm"
	"singularity/llm/anthropic"
	"singularity/llm/gemini"
	"singularity/llm/openai"
	"singularity/llm/simulated"
	"singularity/llm/wire"
)

// vendor is a provider of models that people have keys of.
type vendor struct {
	name   string
	keys   []string // the variables that may hold one, by precedence
	server string   // the variable of a server to ask instead of the vendor's
	make   func(baseURL, key string, config wire.Config) (llm.Provider, error)
}

var vendors = []vendor{
	{anthropic.Name, []string{"ANTHROPIC_API_KEY"}, "ANTHROPIC_BASE_URL", makes(anthropic.New)},
	{gemini.Name, []string{"GOOGLE_API_KEY", "GEMINI_API_KEY"}, "GOOGLE_GEMINI_BASE_URL", makes(gemini.New)},
	{openai.Name, []string{"OPENAI_API_KEY"}, "OPENAI_BASE_URL", makes(openai.New)},
}

// makes is a vendor's New, with the type that they have in common.
func makes[P llm.Provider](create func(string, string, wire.Config) (P, error)) func(string, string, wire.Config) (llm.Provider, error) {
	return func(baseURL, key string, config wire.Config) (llm.Provider, error) {
		return create(baseURL, key, config)
	}
}

// variables are those that a vendor's key and server are in.
func (v vendor) variables() []string { return append(slices.Clone(v.keys), v.server) }

func providerNames() []string {
	names := make([]string, 0, len(vendors)+1)
	for _, vendor := range vendors {
		names = append(names, vendor.name)
	}
	return append(names, simulated.Name)
}

// first is the value of the first of some variables that has one.
func (c *cli) first(variables ...string) string {
	for _, variable := range variables {
		if value, _ := c.env(variable); value != "" {
			return value
		}
	}
	return ""
}

// providersAskedFor are those that are asked for, or all that the environment has
// the means for.
func (c *cli) providersAskedFor(asked []string) []string {
	if len(asked) > 0 {
		return asked
	}
	var able []string
	for _, vendor := range vendors {
		if c.first(vendor.variables()...) != "" {
			able = append(able, vendor.name)
		}
	}
	if len(able) == 0 {
		return []string{simulated.Name}
	}
	return able
}

func (c *cli) provider(name string, flags modelFlags) (llm.Provider, error) {
	if name == simulated.Name {
		provider, err := simulated.New(simulated.Config{Latency: flags.latency, FailureRate: flags.failureRate})
		if err != nil {
			return nil, usagef("--simulated-latency, --simulated-failure-rate: %w", err)
		}
		return provider, nil
	}
	i := slices.IndexFunc(vendors, func(vendor vendor) bool { return vendor.name == name })
	if i < 0 {
		return nil, usagef("--provider %q is not known; expected some of %s", name, strings.Join(providerNames(), ", "))
	}
	vendor := vendors[i]
	provider, err := vendor.make(c.first(vendor.server), c.first(vendor.keys...), wire.Config{Timeouts: flags.timeouts})
	if err != nil {
		return nil, fmt.Errorf("%w; set %s, or choose --provider %s", err, strings.Join(vendor.variables(), " or "), simulated.Name)
	}
	return provider, nil
}
