package llm

import (
	"context"
	"fmt"
	"time"

	"singularity/centralcloud"
)

// Embedder turns texts into vectors, such that texts of like meaning get
// vectors that point the same way. Its errors are of type *[Error].
// Implementations are safe for concurrent use.
type Embedder interface {
	// Provider and Model name what makes the vectors. Vectors of two models
	// cannot be compared.
	Provider() string
	Model() string
	Embed(ctx context.Context, text string) (Embedding, error)
}

// Embedding is the vector of one text.
type Embedding struct {
	Vector []float32
	Usage  Usage
}

// embeddingTask is the task type that embeddings are recorded under.
const embeddingTask = "embedding"

// Embed calls an embedder from a step: it records the attempt as a
// [centralcloud.Call] and marks errors as [Router.Call] does. Embeddings carry no price.
func Embed(ctx context.Context, embedder Embedder, text string) ([]float32, error) {
	started := time.Now()
	embedding, err := embedder.Embed(ctx, text)
	record := &record{Call: centralcloud.Call{
		Arm: centralcloud.Arm{Provider: embedder.Provider(), Model: embedder.Model()}, TaskType: embeddingTask,
		PolicyVersion: staticPolicy, Propensity: 1, InputDigest: digestOf(text),
	}}
	if err == nil {
		record.AnswerDigest = digestOfVector(embedding.Vector)
	}
	record.report(ctx, embedding.Usage, time.Since(started), err)
	if err != nil {
		return nil, fmt.Errorf("embed with model %s: %w", embedder.Model(), directed(err, false))
	}
	return embedding.Vector, nil
}
