package openai

import (
	"context"
	"errors"

	"github.com/openai/openai-go/v3"

	"singularity/llm"
)

// Embedder is an [llm.Embedder] over the embeddings of the provider's server.
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

	params := openai.EmbeddingNewParams{
		Model:          e.model,
		Input:          openai.EmbeddingNewParamsInputUnion{OfString: openai.String(text)},
		EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	}
	if e.dimensions > 0 {
		params.Dimensions = openai.Int(int64(e.dimensions))
	}
	response, err := e.provider.embeddings.New(ctx, params)
	if err == nil && (response == nil || len(response.Data) != 1 || len(response.Data[0].Embedding) == 0) {
		err = errors.New("the server did not answer with one vector")
	}
	if err != nil {
		return llm.Embedding{}, call.Explain(ctx, err)
	}

	vector := make([]float32, len(response.Data[0].Embedding))
	for i, value := range response.Data[0].Embedding {
		vector[i] = float32(value)
	}
	return llm.Embedding{Vector: vector, Usage: llm.Usage{In: response.Usage.PromptTokens}}, nil
}
