package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"singularity/llm"
	"singularity/workflow"
)

// Query is the input of embedding.
type Query struct {
	QueryID string `json:"query_id"`
	Query   string `json:"query"`           // 1 to 10,000 characters
	Model   string `json:"model,omitempty"` // defaults to the first embedder's
}

// QueryEmbedding is the output of embedding.
type QueryEmbedding struct {
	QueryID   string    `json:"query_id"`
	Embedding []float32 `json:"embedding"`
	Dim       int       `json:"embedding_dim"`
	Timestamp time.Time `json:"timestamp"`
}

type embeddingState struct {
	QueryID   string    `json:"query_id"`
	Query     string    `json:"query"`
	Model     string    `json:"model"`
	Embedding []float32 `json:"embedding,omitempty"`
	Timestamp time.Time `json:"timestamp,omitzero"`
}

// Embedding turns a query into a vector, by the embedder that the query names
// or by the first one. Its key is query_id.
func Embedding(first llm.Embedder, others ...llm.Embedder) *workflow.Workflow[Query, QueryEmbedding] {
	known := append(embedders{first}, others...)
	return workflow.Define("embedding", acceptQuery, embeddingResult,
		workflow.Do("receive_query", receiveQuery),
		workflow.Do("validate_query", known.validate),
		workflow.Do("generate_embedding", known.generate),
		workflow.Do("publish_embedding", publishEmbedding),
	).Key(func(in Query) string { return in.QueryID })
}

// maxQuery is how many characters a query may have.
const maxQuery = 10_000

func acceptQuery(in Query) (embeddingState, error) {
	state := embeddingState{QueryID: in.QueryID, Query: in.Query, Model: in.Model}
	return state, errors.Join(checkID("query_id", in.QueryID), checkQuery(in.Query), checkModel(in.Model))
}

func checkQuery(query string) error {
	switch length := utf8.RuneCountInString(strings.TrimSpace(query)); {
	case length == 0:
		return workflow.Invalidf("query", "is empty; expected 1 to %d characters", maxQuery)
	case length > maxQuery:
		return workflow.Invalidf("query", "has %d characters; expected 1 to %d", length, maxQuery)
	}
	return nil
}

func checkModel(model string) error {
	if model == "" {
		return nil
	}
	return checkName("model", model)
}

func receiveQuery(ctx context.Context, s *embeddingState) error {
	workflow.Summarize(ctx, workflow.Summary{Input: summary(struct {
		Query digest `json:"query"`
	}{digestOf(s.Query)})})
	return nil
}

// embedders are the ones that this node has, the default first.
type embedders []llm.Embedder

// validate brings the query into the form that is embedded, and settles the
// model. Which models there are depends on the node, so that accept cannot
// tell.
func (e embedders) validate(_ context.Context, s *embeddingState) error {
	s.Query = strings.TrimSpace(s.Query)
	if s.Model == "" {
		s.Model = e[0].Model()
	}
	_, err := e.named(s.Model)
	return workflow.Permanent(err)
}

func (e embedders) generate(ctx context.Context, s *embeddingState) error {
	embedder, err := e.named(s.Model)
	if err != nil {
		return err // settled on another node: that one, or the next, may have it
	}
	s.Embedding, err = llm.Embed(ctx, embedder, s.Query)
	return err
}

func (e embedders) named(model string) (llm.Embedder, error) {
	models := make([]string, len(e))
	for i, embedder := range e {
		if embedder.Model() == model {
			return embedder, nil
		}
		models[i] = embedder.Model()
	}
	return nil, fmt.Errorf("no embedder here has the model %q; expected one of %q", model, models)
}

func publishEmbedding(ctx context.Context, s *embeddingState) error {
	s.Timestamp = time.Now().UTC()
	workflow.Summarize(ctx, workflow.Summary{Result: summary(struct {
		Dim int `json:"embedding_dim"`
	}{len(s.Embedding)})})
	return nil
}

func embeddingResult(s *embeddingState) QueryEmbedding {
	return QueryEmbedding{
		QueryID:   s.QueryID,
		Embedding: s.Embedding,
		Dim:       len(s.Embedding),
		Timestamp: s.Timestamp,
	}
}
