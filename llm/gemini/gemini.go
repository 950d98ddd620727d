// Package gemini calls Google's models over the Gemini API, through the
// official SDK.
//
// Answers are streamed, and the SDK's own retries are off, as those of package
// openai are.
package gemini

import (
	"context"
	"net/http"

	"google.golang.org/genai"

	"singularity/llm"
	"singularity/llm/wire"
)

// Name is the provider's name, in the table of models and in every output.
const Name = "gemini"

var dialect = wire.Dialect{
	Provider:  Name,
	BaseURL:   "https://generativelanguage.googleapis.com",
	Authorise: func(header http.Header, key string) { header.Set("X-Goog-Api-Key", key) },
	Read:      readFault,
}

// Provider is an [llm.Provider] over the models of one server.
type Provider struct {
	server *wire.Server
	models *genai.Models
}

var _ llm.Provider = (*Provider)(nil)

// New returns a provider for the server at baseURL, empty for Google's own,
// which then needs a key. The key goes to that server only.
func New(baseURL, key string, config wire.Config) (*Provider, error) {
	server, err := wire.NewServer(dialect, baseURL, key, config)
	if err != nil {
		return nil, err
	}
	client, err := genai.NewClient(context.Background(), &genai.ClientConfig{
		Backend:     genai.BackendGeminiAPI,
		APIKey:      "not this one", // the SDK insists; the transport has the key
		HTTPClient:  server.Client,
		HTTPOptions: genai.HTTPOptions{BaseURL: server.BaseURL},
	})
	if err != nil {
		return nil, err
	}
	return &Provider{server: server, models: client.Models}, nil
}

// Name implements [llm.Provider].
func (p *Provider) Name() string { return Name }

// Complete implements [llm.Provider].
func (p *Provider) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	ctx, call := p.server.Stream(ctx)
	defer call.Stop()
	turns, config := contents(req)
	response, err := collect(p.models.GenerateContentStream(ctx, req.Model, turns, config), call, req.OnText)
	if err != nil {
		return response, call.Explain(ctx, err)
	}
	return response, nil
}

// contents puts instructions, which are no turns of a conversation here, apart.
// A request of nothing else is asked as the user's.
func contents(req llm.Request) ([]*genai.Content, *genai.GenerateContentConfig) {
	var turns []*genai.Content
	var instructions []*genai.Part
	for _, message := range req.Messages {
		part := &genai.Part{Text: message.Content}
		switch message.Role {
		case llm.System, llm.Developer:
			instructions = append(instructions, part)
		case llm.Assistant:
			turns = append(turns, genai.NewContentFromParts([]*genai.Part{part}, genai.RoleModel))
		default:
			turns = append(turns, genai.NewContentFromParts([]*genai.Part{part}, genai.RoleUser))
		}
	}
	config := &genai.GenerateContentConfig{
		MaxOutputTokens:       int32(min(req.MaxTokens, 1<<30)),
		AutomaticContinuation: new(false), // which would repeat a call that broke off
	}
	if len(turns) == 0 {
		return []*genai.Content{genai.NewContentFromParts(instructions, genai.RoleUser)}, config
	}
	if len(instructions) > 0 {
		config.SystemInstruction = &genai.Content{Parts: instructions}
	}
	return turns, config
}
