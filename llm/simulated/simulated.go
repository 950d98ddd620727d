// Package simulated answers in place of language models, for development and
// tests. Nothing leaves the process and no money is spent; the prices in the
// table of models are made up, so that costs have something to show.
//
// Everything follows from the request: the same one gets the same answer with
// the same usage, and the same attempt at it fails in the same way.
package simulated

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"singularity/llm"
)

// Name is the provider's name, in the table of models and in every output.
const Name = "simulated"

// Config configures a [Provider].
type Config struct {
	// Latency is how long each call takes. Defaults to none.
	Latency time.Duration
	// FailureRate is the share of attempts that fail, 0 to 1. Defaults to 0.
	FailureRate float64
	// Failures are the classes that failures are drawn from. Defaults to those
	// that another attempt may mend: rate limit, overload and timeout.
	Failures []llm.Class
}

func (c Config) withDefaults() Config {
	if len(c.Failures) == 0 {
		c.Failures = []llm.Class{llm.RateLimit, llm.Overload, llm.Timeout}
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	if c.Latency < 0 {
		problems = append(problems, fmt.Errorf("latency %s is negative", c.Latency))
	}
	if !(c.FailureRate >= 0 && c.FailureRate <= 1) {
		problems = append(problems, fmt.Errorf("failure rate %v: expected 0 to 1", c.FailureRate))
	}
	return errors.Join(problems...)
}

// Provider is an [llm.Provider] without a model behind it.
type Provider struct{ config Config }

var _ llm.Provider = (*Provider)(nil)

// New returns a simulated provider.
func New(config Config) (*Provider, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("simulated provider: %w", err)
	}
	return &Provider{config.withDefaults()}, nil
}

// Name implements [llm.Provider].
func (p *Provider) Name() string { return Name }

// retryAfter is what a simulated rate limit asks for.
const retryAfter = time.Second

// Complete implements [llm.Provider].
func (p *Provider) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if err := p.wait(ctx); err != nil {
		return llm.Response{}, &llm.Error{Class: llm.ClassOf(err), Provider: Name, Err: err}
	}
	digest := fingerprint(req)
	if class, fails := p.failure(digest, req.Attempt); fails {
		failure := &llm.Error{Class: class, Provider: Name, Err: errors.New("simulated failure")}
		if class == llm.RateLimit {
			failure.RetryAfter = retryAfter
		}
		return llm.Response{}, failure
	}

	text := answer(req, digest)
	if req.OnText != nil {
		req.OnText(text)
	}
	usage := llm.Usage{Out: llm.EstimateTokens(text)}
	for _, message := range req.Messages {
		const framing = 4 // tokens that a chat format adds to each message
		usage.In += framing + llm.EstimateTokens(message.Content)
	}
	return llm.Response{Text: text, Model: req.Model, Finish: llm.Stopped, Usage: usage}, nil
}

func (p *Provider) wait(ctx context.Context) error {
	if p.config.Latency == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(p.config.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fingerprint identifies what a request asks, whoever asks it and how often.
func fingerprint(req llm.Request) [sha256.Size]byte {
	hash := sha256.New()
	write := func(part string) {
		_, _ = fmt.Fprintf(hash, "%d:", len(part)) // so that parts do not run into each other
		_, _ = io.WriteString(hash, part)
	}
	write(req.Model)
	write(req.TaskType)
	for _, message := range req.Messages {
		write(string(message.Role))
		write(message.Content)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// failure draws whether this attempt fails, and how.
func (p *Provider) failure(digest [sha256.Size]byte, attempt int) (llm.Class, bool) {
	drawn := sha256.Sum256(binary.BigEndian.AppendUint64(digest[:], uint64(attempt)))
	const bits = 53 // that a float64 holds exactly
	chance := float64(binary.BigEndian.Uint64(drawn[:8])>>(64-bits)) / (1 << bits)
	which := binary.BigEndian.Uint64(drawn[8:16]) % uint64(len(p.config.Failures))
	return p.config.Failures[which], chance < p.config.FailureRate
}

// labels are the answers of the task types that expect a word or two.
var labels = map[string][]string{
	"classification": {"question", "request", "complaint", "praise"},
	"classifier":     {"question", "request", "complaint", "praise"},
	"sentiment":      {"positive", "neutral", "negative"},
	"tagging":        {"billing, account", "bug, login", "feature, export"},
}

// answer makes up a text that says of itself that it is simulated, in the format
// that was asked for.
func answer(req llm.Request, digest [sha256.Size]byte) string {
	text := plainAnswer(req, digest)
	if req.Format == llm.JSONFormat {
		document, _ := json.Marshal(map[string]string{"answer": text}) // of text
		return string(document)
	}
	return text
}

func plainAnswer(req llm.Request, digest [sha256.Size]byte) string {
	if choices := labels[strings.ToLower(req.TaskType)]; len(choices) > 0 {
		return "[simulated] " + choices[int(digest[0])%len(choices)]
	}
	return fmt.Sprintf("[simulated] %s would answer this %s request here. Messages: %d. Fingerprint: %s.",
		req.Model, req.TaskType, len(req.Messages), hex.EncodeToString(digest[:4]))
}
