package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"

	"singularity/llm"
	"singularity/llm/embedding"
	"singularity/llm/openai"
	"singularity/llm/simulated"
	"singularity/workflow"
	"singularity/workflows"
)

// modelFlags say where the built-in workflows get their answers.
type modelFlags struct {
	provider       string
	table          string
	embeddingModel string
	latency        time.Duration
	failureRate    float64
}

func (f *modelFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.provider, "provider", "", "who answers for models: openai, or a server that speaks its protocol, or simulated (default: openai when OPENAI_API_KEY or OPENAI_BASE_URL is set, else simulated)")
	set.StringVar(&f.table, "models", "", "a file with models and their prices (default: a table that is built in)")
	set.StringVar(&f.embeddingModel, "embedding-model", "", "makes embeddings unless a query names another one (default: "+openaiEmbedding+" with openai, else the built-in "+embedding.Model+")")
	set.DurationVar(&f.latency, "simulated-latency", 0, "how long simulated answers take")
	set.Float64Var(&f.failureRate, "simulated-failure-rate", 0, "the share of simulated calls that fail, 0 to 1")
}

// openaiEmbedding can make vectors of the length that the built-in embedder
// makes.
const openaiEmbedding = "text-embedding-3-large"

// models are what the built-in workflows ask.
type models struct {
	provider string
	router   *llm.Router
	embedder llm.Embedder
	others   []llm.Embedder
}

func (m models) workflows() []workflow.Definition {
	return []workflow.Definition{workflows.LLMRequest(m.router), workflows.Embedding(m.embedder, m.others...)}
}

// models sets up the provider that the flags or the environment choose.
func (c *cli) models(flags modelFlags, log *slog.Logger) (models, error) {
	table, err := loadTable(flags.table)
	if err != nil {
		return models{}, err
	}
	chosen := models{provider: c.providerName(flags.provider)}
	var provider llm.Provider
	switch chosen.provider {
	case openai.Name:
		provider, err = c.openai(flags, &chosen)
	case simulated.Name:
		provider, err = simulate(flags, &chosen)
	default:
		return models{}, usagef("--provider %q is not known; expected %s or %s", chosen.provider, openai.Name, simulated.Name)
	}
	if err != nil {
		return models{}, err
	}
	chosen.router, err = llm.NewRouter(table, []llm.Provider{provider}, llm.RouterConfig{Logger: log})
	return chosen, err
}

// providerName is the provider that is asked for, or the one that the
// environment has the means for.
func (c *cli) providerName(asked string) string {
	if asked != "" {
		return asked
	}
	for _, variable := range []string{"OPENAI_API_KEY", "OPENAI_BASE_URL"} {
		if value, _ := c.env(variable); value != "" {
			return openai.Name
		}
	}
	return simulated.Name
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

func (c *cli) openai(flags modelFlags, chosen *models) (llm.Provider, error) {
	baseURL, _ := c.env("OPENAI_BASE_URL")
	key, _ := c.env("OPENAI_API_KEY")
	provider, err := openai.New(baseURL, key, openai.Config{})
	if err != nil {
		return nil, fmt.Errorf("%w; set OPENAI_API_KEY or OPENAI_BASE_URL, or choose --provider %s", err, simulated.Name)
	}
	switch flags.embeddingModel {
	case embedding.Model:
		chosen.embedder = embedding.Embedder{}
		chosen.others = []llm.Embedder{provider.Embedder(openaiEmbedding, embedding.Dimensions)}
	case "", openaiEmbedding:
		chosen.embedder = provider.Embedder(openaiEmbedding, embedding.Dimensions)
		chosen.others = []llm.Embedder{embedding.Embedder{}}
	default:
		chosen.embedder = provider.Embedder(flags.embeddingModel, 0)
		chosen.others = []llm.Embedder{provider.Embedder(openaiEmbedding, embedding.Dimensions), embedding.Embedder{}}
	}
	return provider, nil
}

func simulate(flags modelFlags, chosen *models) (llm.Provider, error) {
	if flags.embeddingModel != "" && flags.embeddingModel != embedding.Model {
		return nil, usagef("--embedding-model %q needs --provider %s; without it there is %s", flags.embeddingModel, openai.Name, embedding.Model)
	}
	chosen.embedder = embedding.Embedder{}
	provider, err := simulated.New(simulated.Config{Latency: flags.latency, FailureRate: flags.failureRate})
	if err != nil {
		return nil, usagef("--simulated-latency, --simulated-failure-rate: %w", err)
	}
	return provider, nil
}
