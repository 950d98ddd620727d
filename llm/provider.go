// Package llm calls language models from the steps of a workflow: it chooses a
// model for a request, calls the model's provider, prices the answer and
// records what happened.
//
// A [Router] offers this as two step bodies over a [Call]: Select puts a
// [Choice] into the state, Call puts the answer there. Between them lies a
// checkpoint, so that a retry and a takeover keep the choice.
//
// Select goes by a policy that a hub learned, if there is one: the row for the
// task type and the [Complexity] of the request, from which the request's id draws
// a model with a known probability. Without a policy, or where its row names
// nobody who can be asked, it is the cheapest model of the [Tier] that the
// complexity asks for. Each node keeps a breaker for each model; while that is
// open, and after a failed attempt, Call goes down the fallback order of the
// choice, which has nobody dearer than what the policy favours.
//
// Providers live in the folders beside this file; a [Table] lists their models
// with tiers and prices. Money is counted in whole nano-dollars. A cost that
// nobody knows is absent, never zero.
package llm

import "context"

// Provider completes conversations with the models of one vendor or server.
//
// Complete stops when its context ends. Its errors are of type *[Error], and
// neither they nor anything it logs contains a key. What it knows of the usage
// it returns with an error, too: a refused answer costs money all the same.
// Implementations are safe for concurrent use.
type Provider interface {
	// Name is what the table of models, choices and records call the provider.
	Name() string
	Complete(ctx context.Context, req Request) (Response, error)
}

// Request is one conversation for one model to continue.
type Request struct {
	Model    string
	TaskType string
	Messages []Message
	// Format is what the answer will be held to. The messages have to ask for it;
	// providers need not.
	Format Format

	// MaxTokens bounds the answer, thoughts included; 0 does not.
	MaxTokens int64
	// Key is the same for every attempt at one request. Providers that know
	// idempotency keys answer a repeated one without doing the work twice.
	Key string
	// Attempt counts the attempts at this request, from 1.
	Attempt int
	// OnText hears the answer piece by piece while it arrives. It may be nil,
	// and must not block.
	OnText func(delta string)
}

// Message is one turn of a conversation.
type Message struct {
	Role    Role   `json:"role"`
	Content string `json:"content"`
}

// Role says who speaks in a message.
type Role string

// The roles of a conversation.
const (
	System    Role = "system"
	Developer Role = "developer"
	User      Role = "user"
	Assistant Role = "assistant"
)

// Roles lists every role.
var Roles = []Role{System, Developer, User, Assistant}

// MaxText is how many bytes of text an answer may have. Providers cut a longer
// one off and fail with [Content]: the state of a run could not hold it.
const MaxText = 512 << 10

// Response is a model's answer.
type Response struct {
	Text   string `json:"text"`
	Model  string `json:"model"` // as the provider calls the one that answered, such as a dated release
	Finish Finish `json:"finish"`
	Usage  Usage  `json:"usage"`
}

// Finish says why an answer ended.
type Finish string

// The ways an answer ends.
const (
	Stopped   Finish = "stop"   // it was complete
	CutShort  Finish = "length" // it met the model's limit
	Otherwise Finish = "other"  // the provider gave a reason that means nothing here
)

// Usage counts the tokens of one call.
type Usage struct {
	In     int64 `json:"tokens_in"` // of the request, the cached ones included
	Out    int64 `json:"tokens_out"`
	Cached int64 `json:"tokens_cached"` // of the request, read from the provider's cache
	// Written are those of the request that the provider put into its cache.
	Written int64 `json:"tokens_cache_written,omitempty"`
}

// Known reports whether the provider counted the tokens. Counts that cannot
// be true are as good as none.
func (u Usage) Known() bool {
	const most = 1 << 32
	return u.In > 0 && u.In < most && u.Out >= 0 && u.Out < most && u.Cached >= 0 && u.Written >= 0 && u.Cached <= u.In && u.Written <= u.In-u.Cached
}

// Total is the number of tokens in and out.
func (u Usage) Total() int64 { return u.In + u.Out }

// EstimateTokens guesses how many tokens a text has: one for four bytes.
func EstimateTokens(text string) int64 { return int64(len(text)+3) / 4 }

func tokensOf(messages []Message) int64 {
	var tokens int64
	for _, message := range messages {
		tokens += EstimateTokens(message.Content)
	}
	return tokens
}

// mostTokensOf is what messages have at most: a token stands for a byte at least,
// and a chat format adds some to each message, and to all.
func mostTokensOf(messages []Message) int64 {
	const framing, preamble = 16, 64
	most := int64(preamble)
	for _, message := range messages {
		most += framing + int64(len(message.Content))
	}
	return most
}
