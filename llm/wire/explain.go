package wire

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"singularity/llm"
)

// ReportedError is an error event within a stream.
type ReportedError struct{ Document []byte }

func (e *ReportedError) Error() string { return "the server reports an error" }

// Explain makes an *[llm.Error] of whatever ended the call, whose context is
// ctx. Errors of the SDKs hold requests: only text is taken from them, and
// cleaned.
func (c *Call) Explain(ctx context.Context, err error) error {
	if ended := c.explainEnd(ctx); ended != nil {
		return ended
	}
	failure := &llm.Error{Class: llm.Unknown, Provider: c.server.dialect.Provider}
	if c.status >= 400 {
		failure.Status = c.status
		c.explainDocument(failure, c.document)
		failure.RetryAfter = cmp.Or(retryAfter(c.header, time.Now()), failure.RetryAfter)
		return failure
	}
	if reported, ok := errors.AsType[*ReportedError](err); ok {
		c.explainDocument(failure, reported.Document)
		return failure
	}
	if c.broken != nil {
		err = c.broken
	}
	failure.Class = classOf(err)
	failure.Err = c.server.clean(withoutURL(err))
	return failure
}

// explainEnd tells an ended context apart: the watchdog, or the caller.
func (c *Call) explainEnd(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if silent, ok := errors.AsType[*llm.Error](cause); ok {
		return silent
	}
	return &llm.Error{Class: llm.ClassOf(ctx.Err()), Provider: c.server.dialect.Provider, Err: cause}
}

func (c *Call) explainDocument(failure *llm.Error, document []byte) {
	fault := c.server.dialect.Read(failure.Status, document)
	failure.Class = fault.Class
	failure.RetryAfter = fault.RetryAfter
	if fault.Class == llm.Auth {
		// Servers quote parts of the key here that no cleaning would know.
		failure.Err = c.server.clean(cmp.Or(fault.Code, "the server refused the API key"))
		return
	}
	failure.Err = c.server.clean(cmp.Or(fault.Message, fault.Code, http.StatusText(failure.Status), "no reason given"))
}

func classOf(err error) llm.Class {
	var refused *refusalError
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &refused), errors.Is(err, ErrFiltered), errors.Is(err, errTooLong), errors.As(err, &tooLarge):
		return llm.Content
	case errors.As(err, &network) && network.Timeout():
		return llm.Timeout
	default:
		return llm.Unknown
	}
}

// withoutURL is an error's text without the URL that net/http puts before it.
func withoutURL(err error) string {
	if located, ok := errors.AsType[*url.Error](err); ok {
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
