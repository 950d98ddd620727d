package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openai/openai-go/v3/packages/ssestream"

	"singularity/llm"
)

// explain makes an *llm.Error of whatever ended a call. The SDK's own errors
// hold the request with its key: only text is taken from them, and cleaned.
func (p *Provider) explain(ctx context.Context, answer *http.Response, err error) error {
	if ended := p.explainEnd(ctx); ended != nil {
		return ended
	}
	failure := &llm.Error{Class: llm.Unknown, Provider: Name}
	var streamed *ssestream.StreamError
	var refused *refusalError
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case answer != nil && answer.StatusCode >= 400:
		failure.Status = answer.StatusCode
		failure.RetryAfter = retryAfter(answer.Header, time.Now())
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody)) // whatever there is
		p.explainDocument(failure, body)
	case errors.As(err, &streamed):
		p.explainDocument(failure, streamed.Event.Data)
	case errors.As(err, &refused), errors.Is(err, errFiltered), errors.Is(err, errTooLong), errors.As(err, &tooLarge):
		failure.Class = llm.Content
		failure.Err = p.clean(err.Error())
	case errors.As(err, &network) && network.Timeout():
		failure.Class = llm.Timeout
		failure.Err = p.clean(withoutURL(err))
	default:
		failure.Err = p.clean(withoutURL(err))
	}
	return failure
}

// explainEnd tells an ended context apart: the watchdog, or the caller.
func (p *Provider) explainEnd(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if silent := (*llm.Error)(nil); errors.As(context.Cause(ctx), &silent) {
		return silent
	}
	return &llm.Error{Class: llm.ClassOf(ctx.Err()), Provider: Name, Err: context.Cause(ctx)}
}

// maxErrorBody is how much of an error's body is worth reading.
const maxErrorBody = 64 << 10

// explainDocument classes a failure by the body of an error answer, or by the
// error event of a stream. Servers send {"error": {…}}, {"error": "text"} or no
// JSON at all.
func (p *Provider) explainDocument(failure *llm.Error, document []byte) {
	var body struct {
		Error wireError `json:"error"`
	}
	if json.Unmarshal(document, &body) != nil {
		body.Error = wireError{Message: string(document)}
	}
	reported := body.Error
	failure.Class = reported.class(failure.Status)
	if failure.Class == llm.Auth {
		// Servers quote parts of the key here that no cleaning would know.
		failure.Err = p.clean(cmp.Or(reported.Code, reported.Type, "the server refused the API key"))
		return
	}
	failure.Err = p.clean(cmp.Or(reported.Message, reported.Code, reported.Type, http.StatusText(failure.Status), "no reason given"))
}

// wireError is the error object of the protocol.
type wireError struct {
	Message string
	Type    string
	Code    string
}

// UnmarshalJSON takes what servers send: an object whose code may be a number,
// or a text.
func (e *wireError) UnmarshalJSON(document []byte) error {
	if json.Unmarshal(document, &e.Message) == nil {
		return nil
	}
	var object struct {
		Message string          `json:"message"`
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
	}
	if err := json.Unmarshal(document, &object); err != nil {
		return err
	}
	*e = wireError{Message: object.Message, Type: object.Type}
	if code := strings.Trim(string(object.Code), `"`); code != "null" {
		e.Code = code
	}
	return nil
}

// class goes by the code where it says more than the status, as it does for an
// account without credit, which answers 429 like a rate limit. In a stream
// there is no status.
func (e wireError) class(status int) llm.Class {
	switch e.Code {
	case "insufficient_quota", "invalid_api_key", "billing_not_active":
		return llm.Auth
	case "rate_limit_exceeded":
		return llm.RateLimit
	case "content_filter", "content_policy_violation":
		return llm.Content
	}
	if status == 0 {
		status, _ = strconv.Atoi(e.Code)
	}
	if status != 0 {
		return llm.ClassOfStatus(status)
	}
	switch e.Type {
	case "server_error", "overloaded_error":
		return llm.Overload
	case "insufficient_quota", "authentication_error":
		return llm.Auth
	case "invalid_request_error":
		return llm.BadRequest
	case "rate_limit_error", "requests", "tokens":
		return llm.RateLimit
	default:
		return llm.Unknown
	}
}

// retryAfter reads how long the server wants to be left alone: milliseconds in
// OpenAI's own header, else seconds or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if millis, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil {
		return saneDelay(millis * float64(time.Millisecond))
	}
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		return saneDelay(seconds * float64(time.Second))
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// saneDelay drops what is not a delay: negative, infinite, not a number.
func saneDelay(nanos float64) time.Duration {
	if !(nanos > 0 && nanos < float64(1<<62)) {
		return 0
	}
	return time.Duration(nanos)
}

// withoutURL is an error's text without the URL that net/http puts before it.
func withoutURL(err error) string {
	if located := (*url.Error)(nil); errors.As(err, &located) {
		return located.Err.Error()
	}
	return err.Error()
}

// cleaner returns a function that makes an error of a foreign text: without
// the key, without control characters, and of bearable length. A function,
// because fmt would print a field that holds the key.
func cleaner(key string) func(text string) error {
	return func(text string) error {
		if key != "" {
			text = strings.ReplaceAll(text, key, "[key]")
		}
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, text)
		const most = 500
		if runes := []rune(text); len(runes) > most {
			text = string(runes[:most]) + "…"
		}
		return errors.New(strings.TrimSpace(text))
	}
}
