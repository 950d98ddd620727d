// Package anthropic calls Anthropic's models, through the official SDK.
//
// Answers are streamed, and the SDK's own retries are off, as those of package
// openai are.
package anthropic

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"

	"singularity/llm"
	"singularity/llm/wire"
)

// Name is the provider's name, in the table of models and in every output.
const Name = "anthropic"

var dialect = wire.Dialect{
	Provider:  Name,
	BaseURL:   "https://api.anthropic.com",
	Authorise: func(header http.Header, key string) { header.Set("X-Api-Key", key) },
	Read:      readFault,
}

// Provider is an [llm.Provider] over the messages of one server.
type Provider struct {
	server   *wire.Server
	messages anthropic.MessageService
}

var _ llm.Provider = (*Provider)(nil)

// New returns a provider for the server at baseURL, empty for Anthropic's own,
// which then needs a key. The key goes to that server only.
func New(baseURL, key string, config wire.Config) (*Provider, error) {
	server, err := wire.NewServer(dialect, baseURL, key, config)
	if err != nil {
		return nil, err
	}
	// The service, unlike anthropic.NewClient, reads nothing from the environment.
	return &Provider{server: server, messages: anthropic.NewMessageService(
		option.WithBaseURL(server.BaseURL),
		option.WithHTTPClient(server.Client),
		option.WithMaxRetries(0),
		option.WithoutOpenTelemetry(),
	)}, nil
}

// Name implements [llm.Provider].
func (p *Provider) Name() string { return Name }

// Complete implements [llm.Provider].
func (p *Provider) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	ctx, call := p.server.Stream(ctx)
	defer call.Stop()
	stream := p.messages.NewStreaming(ctx, messageParams(req))
	if stream.Err() == nil {
		defer func() { _ = stream.Close() }()
	}
	response, err := collect(stream, call, req.OnText)
	if err != nil {
		return response, call.Explain(ctx, err)
	}
	return response, nil
}

// defaultMaxTokens bounds answers where nobody says how long they may be: the
// protocol wants a bound, and every model accepts this one.
const defaultMaxTokens = 4096

// messageParams puts instructions, which are no turns of a conversation here,
// apart. A request of nothing else is asked as the user's.
func messageParams(req llm.Request) anthropic.MessageNewParams {
	params := anthropic.MessageNewParams{Model: req.Model, MaxTokens: cmp.Or(req.MaxTokens, defaultMaxTokens)}
	for _, message := range req.Messages {
		text := anthropic.NewTextBlock(message.Content)
		switch message.Role {
		case llm.System, llm.Developer:
			params.System = append(params.System, *text.OfText)
		case llm.Assistant:
			params.Messages = append(params.Messages, anthropic.NewAssistantMessage(text))
		default:
			params.Messages = append(params.Messages, anthropic.NewUserMessage(text))
		}
	}
	if len(params.Messages) == 0 {
		for _, instruction := range params.System {
			params.Messages = append(params.Messages, anthropic.NewUserMessage(anthropic.NewTextBlock(instruction.Text)))
		}
		params.System = nil
	}
	return params
}

// collect reads an answer to its end. What it cost comes in two parts: the
// request's first, the answer's last.
func collect(stream *ssestream.Stream[anthropic.MessageStreamEventUnion], call *wire.Call, onText func(string)) (llm.Response, error) {
	answer := wire.Answer{OnText: onText}
	for !answer.TooLong() && stream.Next() {
		token := false
		switch event := stream.Current(); event.Type {
		case "message_start":
			answer.Model = event.Message.Model
			answer.Usage = usageOf(event.Message.Usage)
		case "content_block_delta":
			token = true
			answer.Say(event.Delta.Text) // thoughts and signatures have none
		case "message_delta":
			answer.Finish = finishOf(event.Delta.StopReason)
			if event.Delta.StopReason == anthropic.StopReasonRefusal {
				answer.Refuse(cmp.Or(event.Delta.StopDetails.Explanation, "no reason given"))
			}
			answer.Usage = updated(answer.Usage, event.Usage)
		}
		call.Saw(token)
	}
	return answer.End(call, streamError(stream.Err()))
}

// streamError takes the document out of an error event. The SDK makes the same
// of one as of an answer that is an error, which the call knows by itself.
func streamError(err error) error {
	if event, ok := errors.AsType[*anthropic.Error](err); ok {
		return &wire.ReportedError{Document: []byte(event.RawJSON())}
	}
	return err
}

// usageOf adds up a request: the vendor counts what its cache held, and what it
// put there, apart from the rest.
func usageOf(usage anthropic.Usage) llm.Usage {
	return llm.Usage{
		In:      usage.InputTokens + usage.CacheReadInputTokens + usage.CacheCreationInputTokens,
		Out:     usage.OutputTokens,
		Cached:  usage.CacheReadInputTokens,
		Written: usage.CacheCreationInputTokens,
	}
}

// updated is a usage with the counts that came with the end of the answer: all
// of them, or the answer's alone.
func updated(usage llm.Usage, delta anthropic.MessageDeltaUsage) llm.Usage {
	if in := delta.InputTokens + delta.CacheReadInputTokens + delta.CacheCreationInputTokens; in > 0 {
		usage.In, usage.Cached, usage.Written = in, delta.CacheReadInputTokens, delta.CacheCreationInputTokens
	}
	usage.Out = max(usage.Out, delta.OutputTokens)
	return usage
}

func finishOf(reason anthropic.StopReason) llm.Finish {
	switch reason {
	case "":
		return ""
	case anthropic.StopReasonEndTurn, anthropic.StopReasonStopSequence:
		return llm.Stopped
	case anthropic.StopReasonMaxTokens, anthropic.StopReasonModelContextWindowExceeded:
		return llm.CutShort
	default:
		return llm.Otherwise
	}
}
