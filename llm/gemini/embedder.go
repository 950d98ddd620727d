package gemini

import (
	"context"
	"errors"
	"math"

	"google.golang.org/genai"

	"singularity/llm"
)

// Embedder is an [llm.Embedder] over the embeddings of the provider's server.
// The API does not say what they cost.
type Embedder struct {
	provider   *Provider
	model      string
	dimensions int
}

var _ llm.Embedder = (*Embedder)(nil)

// Embedder returns an embedder by one model. Dimensions asks for shorter
// vectors than the model would make; 0 does not.
func (p *Provider) Embedder(model string, dimensions int) *Embedder {
	return &Embedder{provider: p, model: model, dimensions: dimensions}
}

// Provider implements [llm.Embedder].
func (e *Embedder) Provider() string { return Name }

// Model implements [llm.Embedder].
func (e *Embedder) Model() string { return e.model }

// Embed implements [llm.Embedder].
func (e *Embedder) Embed(ctx context.Context, text string) (llm.Embedding, error) {
	ctx, call := e.provider.server.Once(ctx)
	defer call.Stop()
	vector, err := e.embed(ctx, text)
	if err != nil {
		return llm.Embedding{}, call.Explain(ctx, err)
	}
	return llm.Embedding{Vector: vector}, nil
}

func (e *Embedder) embed(ctx context.Context, text string) (vector []float32, err error) {
	errShape := errors.New("the server did not answer with one vector")
	defer func() {
		if recover() != nil { // the SDK takes the shape of what it reads for granted
			err = errShape
		}
	}()
	config := &genai.EmbedContentConfig{}
	if e.dimensions > 0 {
		config.OutputDimensionality = new(int32(e.dimensions))
	}
	response, err := e.provider.models.EmbedContent(ctx, e.model, genai.Text(text), config)
	if err != nil {
		return nil, err
	}
	if response == nil || len(response.Embeddings) != 1 || response.Embeddings[0] == nil || len(response.Embeddings[0].Values) == 0 {
		return nil, errShape
	}
	return normalised(response.Embeddings[0].Values), nil
}

// normalised brings a vector to length 1: the models cut the vectors that are to
// be shorter, and leave them so.
func normalised(vector []float32) []float32 {
	var square float64
	for _, value := range vector {
		square += float64(value) * float64(value)
	}
	if square == 0 {
		return vector
	}
	norm := math.Sqrt(square)
	for i, value := range vector {
		vector[i] = float32(float64(value) / norm)
	}
	return vector
}
