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
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"singularity/llm"
)

// Name is the provider's name, in the table of models and in every output.
const Name = "openai"

const defaultBaseURL = "https://api.openai.com/v1"

// Config configures a [Provider].
type Config struct {
	// FirstToken is how long a call may wait for the first token. Defaults to
	// 30s.
	FirstToken time.Duration
	// Gap is how long an answer may pause between two pieces. Defaults to 60s.
	Gap time.Duration
	// Total is how long a call may take. Defaults to 10m.
	Total time.Duration
	// Transport sends the requests. Defaults to one of the provider's own.
	Transport http.RoundTripper
}

func (c Config) withDefaults() Config {
	c.FirstToken = cmp.Or(c.FirstToken, 30*time.Second)
	c.Gap = cmp.Or(c.Gap, 60*time.Second)
	c.Total = cmp.Or(c.Total, 10*time.Minute)
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	return c
}

// newTransport is the default one with room for many runs that call one host.
func newTransport() http.RoundTripper {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // the program has put its own there
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 64
	return transport
}

func (c Config) validate() error {
	var problems []error
	for _, timeout := range []struct {
		name  string
		value time.Duration
	}{{"first token", c.FirstToken}, {"gap", c.Gap}, {"total", c.Total}} {
		if timeout.value < 0 {
			problems = append(problems, fmt.Errorf("%s timeout %s is negative", timeout.name, timeout.value))
		}
	}
	return errors.Join(problems...)
}

// Provider is an [llm.Provider] over the chat completions of one server.
type Provider struct {
	config     Config
	clean      func(text string) error
	chat       openai.ChatCompletionService
	embeddings openai.EmbeddingService
}

var _ llm.Provider = (*Provider)(nil)

// New returns a provider for the server at baseURL, empty for OpenAI's own,
// which then needs a key. The key goes to that server only: redirects are
// refused.
func New(baseURL, key string, config Config) (*Provider, error) {
	problems := []error{config.validate()}
	if baseURL == "" && key == "" {
		problems = append(problems, errors.New("no API key; expected a key, or the base URL of a server that needs none"))
	}
	baseURL = cmp.Or(baseURL, defaultBaseURL)
	problems = append(problems, checkBaseURL(baseURL))
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("the API key has characters that no key has; check it for spaces and line breaks"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("provider %s: %w", Name, err)
	}

	config = config.withDefaults()
	// The services, unlike openai.NewClient, read nothing from the environment.
	options := []option.RequestOption{
		option.WithBaseURL(baseURL),
		option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: config.Transport, CheckRedirect: refuseRedirect}),
		option.WithMiddleware(boundBody),
	}
	if key != "" {
		options = append(options, option.WithAPIKey(key))
	}
	return &Provider{
		config:     config,
		clean:      cleaner(key),
		chat:       openai.NewChatService(options...).Completions,
		embeddings: openai.NewEmbeddingService(options...),
	}, nil
}

// checkBaseURL refuses what the SDK would refuse at the first call, or pass on
// to error texts. It does not quote the text, which may be a misplaced key.
func checkBaseURL(text string) error {
	base, err := url.Parse(text)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return errors.New("the base URL is not an HTTP URL; expected one such as " + defaultBaseURL)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return errors.New("the base URL has a user, a query or a fragment; expected only scheme, host and path, and the key apart from it")
	}
	return nil
}

func refuseRedirect(*http.Request, []*http.Request) error {
	return errors.New("the server redirects; use the URL that it redirects to as base URL")
}

// maxBody bounds what a call reads, so that no server can fill the memory. It
// leaves room for the envelopes around each token of a text of llm.MaxText.
const maxBody = 128 << 20

func boundBody(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	res, err := next(req)
	if err == nil && res.Body != nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxBody)
	}
	return res, err
}

// Name implements [llm.Provider].
func (p *Provider) Name() string { return Name }

// Complete implements [llm.Provider].
func (p *Provider) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	ctx, watch := p.watch(ctx)
	defer watch.stop()
	var answer *http.Response
	stream := p.chat.NewStreaming(ctx, chatParams(req), callOptions(req.Key, &answer)...)
	defer func() { _ = stream.Close() }()
	response, err := collect(stream, watch, req.OnText)
	if err != nil {
		return response, p.explain(ctx, answer, err)
	}
	return response, nil
}

func chatParams(req llm.Request) openai.ChatCompletionNewParams {
	params := openai.ChatCompletionNewParams{
		Model:         req.Model,
		Messages:      make([]openai.ChatCompletionMessageParamUnion, len(req.Messages)),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
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

// callOptions sends the idempotency key along, and keeps the head of the
// answer, which the SDK drops when the body of an error is not JSON.
func callOptions(key string, answer **http.Response) []option.RequestOption {
	options := []option.RequestOption{option.WithResponseInto(answer)}
	if key != "" {
		options = append(options, option.WithHeader("Idempotency-Key", key))
	}
	return options
}

// Failures that a stream of well-formed events can end in.
var (
	errCutOff   = errors.New("the answer ended before the model had finished")
	errTooLong  = fmt.Errorf("the answer is longer than %d bytes", llm.MaxText)
	errFiltered = errors.New("the provider's content filter stopped the answer")
)

// refusalError is a model's own words on why it does not answer.
type refusalError struct{ text string }

func (e *refusalError) Error() string { return "the model refused to answer: " + e.text }

// collect reads an answer to its end. It reads on after a refusal: what it
// cost comes last.
func collect(stream *ssestream.Stream[openai.ChatCompletionChunk], watch *watchdog, onText func(string)) (llm.Response, error) {
	var response llm.Response
	var text, refusal strings.Builder
	var finish string
	for stream.Next() {
		chunk := stream.Current()
		response.Model = cmp.Or(chunk.Model, response.Model)
		if usage := usageOf(chunk.Usage); usage.Known() {
			response.Usage = usage
		}
		token := false
		for _, choice := range chunk.Choices {
			token = token || isToken(choice.Delta)
			finish = cmp.Or(choice.FinishReason, finish)
			refusal.WriteString(choice.Delta.Refusal)
			text.WriteString(choice.Delta.Content)
			if onText != nil && choice.Delta.Content != "" {
				onText(choice.Delta.Content)
			}
		}
		watch.saw(token)
		if text.Len() > llm.MaxText || refusal.Len() > llm.MaxText {
			return response, errTooLong
		}
	}
	response.Text = text.String()
	response.Finish = finishOf(finish)
	switch {
	case stream.Err() != nil:
		return response, stream.Err()
	case finish == "":
		return response, errCutOff
	case refusal.Len() > 0:
		return response, &refusalError{refusal.String()}
	case finish == "content_filter":
		return response, errFiltered
	}
	return response, nil
}

// isToken tells a piece of an answer from the empty one that announces it.
// Servers of reasoning models stream thoughts in fields of their own.
func isToken(delta openai.ChatCompletionChunkChoiceDelta) bool {
	return delta.Content != "" || delta.Refusal != "" || len(delta.JSON.ExtraFields) > 0
}

func usageOf(usage openai.CompletionUsage) llm.Usage {
	return llm.Usage{
		In:     usage.PromptTokens,
		Out:    usage.CompletionTokens,
		Cached: usage.PromptTokensDetails.CachedTokens,
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
