// Package openai calls OpenAI, and any server that speaks its protocol, through
// the official SDK.
//
// Answers are streamed, so that a stalled call is found by its silence long
// before the longest answer would be due. The SDK's own retries are off: the
// engine retries, with a checkpoint between the attempts.
package openai

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"singularity/llm"
	"singularity/llm/wire"
)

// Name is the provider's name, in the table of models and in every output.
const Name = "openai"

var dialect = wire.Dialect{
	Provider:  Name,
	BaseURL:   "https://api.openai.com/v1",
	Authorise: func(header http.Header, key string) { header.Set("Authorization", "Bearer "+key) },
	Read:      readFault,
}

// Provider is an [llm.Provider] over the chat completions of one server.
type Provider struct {
	server     *wire.Server
	chat       openai.ChatCompletionService
	embeddings openai.EmbeddingService
}

var _ llm.Provider = (*Provider)(nil)

// New returns a provider for the server at baseURL, empty for OpenAI's own,
// which then needs a key. The key goes to that server only.
func New(baseURL, key string, config wire.Config) (*Provider, error) {
	server, err := wire.NewServer(dialect, baseURL, key, config)
	if err != nil {
		return nil, err
	}
	// The services, unlike openai.NewClient, read nothing from the environment.
	options := []option.RequestOption{
		option.WithBaseURL(server.BaseURL),
		option.WithHTTPClient(server.Client),
		option.WithMaxRetries(0),
	}
	return &Provider{
		server:     server,
		chat:       openai.NewChatService(options...).Completions,
		embeddings: openai.NewEmbeddingService(options...),
	}, nil
}

// Name implements [llm.Provider].
func (p *Provider) Name() string { return Name }

// Complete implements [llm.Provider].
func (p *Provider) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	ctx, call := p.server.Stream(ctx)
	defer call.Stop()
	var options []option.RequestOption
	if req.Key != "" {
		options = append(options, option.WithHeader("Idempotency-Key", req.Key))
	}
	stream := p.chat.NewStreaming(ctx, chatParams(req), options...)
	defer func() { _ = stream.Close() }()
	response, err := collect(stream, call, req.OnText)
	if err != nil {
		return response, call.Explain(ctx, err)
	}
	return response, nil
}

func chatParams(req llm.Request) openai.ChatCompletionNewParams {
	params := openai.ChatCompletionNewParams{
		Model:         req.Model,
		Messages:      make([]openai.ChatCompletionMessageParamUnion, len(req.Messages)),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	if req.MaxTokens > 0 {
		params.MaxCompletionTokens = openai.Int(req.MaxTokens)
	}
	for i, message := range req.Messages {
		params.Messages[i] = chatMessage(message)
	}
	return params
}

func chatMessage(message llm.Message) openai.ChatCompletionMessageParamUnion {
	switch message.Role {
	case llm.System:
		return openai.SystemMessage(message.Content)
	case llm.Developer:
		return openai.DeveloperMessage(message.Content)
	case llm.Assistant:
		return openai.AssistantMessage(message.Content)
	default:
		return openai.UserMessage(message.Content)
	}
}

// collect reads an answer to its end. It reads on after a refusal: what it
// cost comes last.
func collect(stream *ssestream.Stream[openai.ChatCompletionChunk], call *wire.Call, onText func(string)) (llm.Response, error) {
	answer := wire.Answer{OnText: onText}
	filtered := false
	for !answer.TooLong() && stream.Next() {
		chunk := stream.Current()
		answer.Model = cmp.Or(chunk.Model, answer.Model)
		if usage := usageOf(chunk.Usage); usage.Known() {
			answer.Usage = usage
		}
		token := false
		for _, choice := range chunk.Choices {
			token = token || isToken(choice.Delta)
			answer.Finish = cmp.Or(finishOf(choice.FinishReason), answer.Finish)
			filtered = filtered || choice.FinishReason == "content_filter"
			answer.Refuse(choice.Delta.Refusal)
			answer.Say(choice.Delta.Content)
		}
		call.Saw(token)
	}
	response, err := answer.End(call, streamError(stream.Err()))
	if err == nil && filtered {
		err = wire.ErrFiltered
	}
	return response, err
}

// streamError takes the document out of an error event.
func streamError(err error) error {
	if event, ok := errors.AsType[*ssestream.StreamError](err); ok {
		return &wire.ReportedError{Document: event.Event.Data}
	}
	return err
}

// isToken tells a piece of an answer from the empty one that announces it.
// Servers of reasoning models stream thoughts in fields of their own.
func isToken(delta openai.ChatCompletionChunkChoiceDelta) bool {
	return delta.Content != "" || delta.Refusal != "" || len(delta.JSON.ExtraFields) > 0
}

func usageOf(usage openai.CompletionUsage) llm.Usage {
	return llm.Usage{
		In:      usage.PromptTokens,
		Out:     usage.CompletionTokens,
		Cached:  usage.PromptTokensDetails.CachedTokens,
		Written: usage.PromptTokensDetails.CacheWriteTokens,
	}
}

func finishOf(reason string) llm.Finish {
	switch reason {
	case "", "stop":
		return llm.Finish(reason)
	case "length":
		return llm.CutShort
	default:
		return llm.Otherwise
	}
}
