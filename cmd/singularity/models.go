package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"singularity/llm"
	"singularity/llm/embedding"
	"singularity/llm/gemini"
	"singularity/llm/openai"
	"singularity/workflow"
	"singularity/workflows"
)

// modelFlags say where the built-in workflows get their answers.
type modelFlags struct {
	providers      []string
	table          string
	embeddingModel string
	timeouts       llm.Timeouts
	maxTokens      int64
	spending       spendingFlags
	fallbackPrice  multiple
	latency        time.Duration
	failureRate    float64
}

func (f *modelFlags) register(set *pflag.FlagSet) {
	set.StringSliceVar(&f.providers, "provider", nil, "who answers for models: some of "+strings.Join(providerNames(), ", ")+" (default: all that have a key or a server of their own in the environment, else simulated)")
	set.StringVar(&f.table, "models", "", "a file with models and their prices (default: a table that is built in)")
	set.StringVar(&f.embeddingModel, "embedding-model", "", "makes embeddings unless a query names another one (default: "+openaiEmbedding+" with openai, "+geminiEmbedding+" with gemini, else the built-in "+embedding.Model+")")
	usual := llm.Timeouts{}.WithDefaults()
	set.DurationVar(&f.timeouts.FirstToken, "first-token-timeout", usual.FirstToken, "how long a model may take until the first token")
	set.DurationVar(&f.timeouts.Gap, "gap-timeout", usual.Gap, "how long a model may pause within an answer")
	set.DurationVar(&f.timeouts.Total, "call-timeout", usual.Total, "how long a model may take for an answer")
	set.Int64Var(&f.maxTokens, "max-answer-tokens", 0, "how long an answer may be, thoughts included (default: as the table of models says)")
	f.spending.register(set)
	f.fallbackPrice = 2
	set.Var(&f.fallbackPrice, "fallback-price", "where no learned policy says who stands in for a model that does not answer: how many times its price another one of its tier may cost, 1 for none that is dearer")
	set.DurationVar(&f.latency, "simulated-latency", 0, "how long simulated answers take")
	set.Float64Var(&f.failureRate, "simulated-failure-rate", 0, "the share of simulated calls that fail, 0 to 1")
}

// check looks at the timeouts: the step of a call ends at the longest.
func (f *modelFlags) check() error {
	longest := llm.Timeouts{}.WithDefaults().Total
	for name, timeout := range map[string]time.Duration{
		"first-token-timeout": f.timeouts.FirstToken, "gap-timeout": f.timeouts.Gap, "call-timeout": f.timeouts.Total,
	} {
		if timeout < 0 || timeout > longest {
			return usagef("--%s %s: expected more than 0s, and %s at most", name, timeout, longest)
		}
	}
	if f.maxTokens < 0 {
		return usagef("--max-answer-tokens %d: expected a positive number", f.maxTokens)
	}
	return nil
}

// models are what the built-in workflows ask.
type models struct {
	providers []string
	table     *llm.Table
	router    *llm.Router
	ledger    *ledger
	policies  *policies
	embedders []llm.Embedder // the default first
}

// about names who answers, for people.
func (m models) about() string { return strings.Join(m.providers, ", ") }

func (m models) workflows() []workflow.Definition {
	return []workflow.Definition{workflows.LLMRequest(m.router), workflows.Embedding(m.embedders[0], m.embedders[1:]...)}
}

// models sets up the providers that the flags or the environment choose.
func (c *cli) models(flags modelFlags, log *slog.Logger) (models, error) {
	if err := flags.check(); err != nil {
		return models{}, err
	}
	table, err := loadTable(flags.table)
	if err != nil {
		return models{}, err
	}
	chosen := models{table: table, providers: c.providersAskedFor(flags.providers), ledger: newLedger(), policies: new(policies)}
	var providers []llm.Provider
	for _, name := range chosen.providers {
		provider, err := c.provider(name, flags)
		if err != nil {
			return models{}, err
		}
		providers = append(providers, provider)
	}
	if chosen.embedders, err = embedders(flags.embeddingModel, providers); err != nil {
		return models{}, err
	}
	chosen.router, err = llm.NewRouter(table, providers, llm.RouterConfig{
		Logger: log, MaxTokens: flags.maxTokens, Limits: flags.spending.limits(), Ledger: chosen.ledger,
		FallbackPrice: float64(flags.fallbackPrice), Policy: chosen.policies.current,
	})
	return chosen, err
}

func loadTable(file string) (*llm.Table, error) {
	if file == "" {
		return llm.DefaultTable(), nil
	}
	document, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("--models: %w", err)
	}
	table, err := llm.ParseTable(document)
	if err != nil {
		return nil, fmt.Errorf("--models %s: %w", file, err)
	}
	return table, nil
}

// Embedding models that can make vectors of the length that the built-in
// embedder makes.
const (
	openaiEmbedding = "text-embedding-3-large"
	geminiEmbedding = "gemini-embedding-001"
)

// embedders are those that the providers have, and the built-in one. The model
// comes first, if one is asked for.
func embedders(model string, providers []llm.Provider) ([]llm.Embedder, error) {
	var list []llm.Embedder
	var other llm.Embedder // by a model that is not among the defaults
	for _, provider := range providers {
		switch provider := provider.(type) {
		case *openai.Provider:
			list = append(list, provider.Embedder(openaiEmbedding, embedding.Dimensions))
			if !strings.HasPrefix(model, "gemini-") {
				other = provider.Embedder(model, 0)
			}
		case *gemini.Provider:
			list = append(list, provider.Embedder(geminiEmbedding, embedding.Dimensions))
			if other == nil {
				other = provider.Embedder(model, 0)
			}
		}
	}
	list = append(list, embedding.Embedder{})
	if model == "" {
		return list, nil
	}
	for i, embedder := range list {
		if embedder.Model() == model {
			copy(list[1:], list[:i])
			list[0] = embedder
			return list, nil
		}
	}
	if other == nil {
		return nil, usagef("--embedding-model %q needs the provider %s or %s; without one there is %s", model, openai.Name, gemini.Name, embedding.Model)
	}
	return append([]llm.Embedder{other}, list...), nil
}
