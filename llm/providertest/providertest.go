// Package providertest holds every provider to one behaviour: each runs [Run]
// against a server of the suite's own that speaks its protocol, in the words
// that a [Protocol] has for it.
package providertest

import (
	"net/http"
	"testing"

	"singularity/llm"
	"singularity/llm/wire"
)

// Protocol says how a provider's server is asked, and how it answers. Events
// are whole, with the empty line that ends each.
type Protocol struct {
	Name  string
	Model string
	New   func(baseURL, key string, config wire.Config) (llm.Provider, error)
	// Env are variables that the vendor's own SDK would take keys or servers from.
	Env map[string]string

	// Asked reads a request back.
	Asked func(req *http.Request, body []byte) (Asked, error)

	// Begin announces an answer, before its first token.
	Begin string
	// Text is a piece of an answer.
	Text func(piece string) string
	// Thought is a piece of what the model thinks, which is no part of its answer.
	Thought string
	// End ends an answer. A usage that is zero is not told.
	End func(finish llm.Finish, usage llm.Usage) string
	// Refused ends an answer that the model refused, for a reason that the text
	// holds.
	Refused func(reason string, usage llm.Usage) string
	// Fault is an error event for an overloaded server, in its own words.
	Fault func(message string) string
	// Garbage are events that make no sense.
	Garbage []string

	// Counted is the usage that [Protocol.End] is tested with: what the protocol
	// can say.
	Counted llm.Usage
	// Faults are error answers.
	Faults map[string]Fault
	// Refusal is the body of an error answer that has a message.
	Refusal func(message string) string
}

// Asked is what a request asks, in the terms of package llm.
type Asked struct {
	Key       string
	Model     string
	System    []string // instructions
	Turns     []llm.Message
	MaxTokens int64
}

// Fault is an error answer and what is to be made of it.
type Fault struct {
	Status int
	Body   string
	Class  llm.Class
	Reason string // a part of the error's text
}

const testKey = "sk-canary-3b1f0c5d9e7a"

// Run runs the suite.
func Run(t *testing.T, p Protocol) {
	for name, test := range map[string]func(*testing.T, Protocol){
		"Answer is streamed and counted": testAnswer,
		"Request that only instructs":    testInstructions,
		"Answers that end otherwise":     testEnds,
		"Error answers are classed":      testFaults,
		"Retry-After is passed on":       testRetryAfter,
		"Server that is not there":       testNoServer,
		"Silent servers are given up":    testSilence,
		"Slow servers are waited for":    testSlowness,
		"Timeouts are configured":        testTimeouts,
		"Caller may give up":             testGivingUp,
		"Key never shows":                testKeyNeverShows,
		"Configuration is checked":       testConfiguration,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

func (p Protocol) question() llm.Request {
	return llm.Request{Model: p.Model, Messages: []llm.Message{{Role: llm.User, Content: "hello"}}}
}
