package openai

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"singularity/llm"
	"singularity/llm/wire"
)

// readFault implements the Read of a [wire.Dialect]. Servers send
// {"error": {…}}, {"error": "text"} or no JSON at all.
func readFault(status int, document []byte) wire.Fault {
	var body struct {
		Error wireError `json:"error"`
	}
	if json.Unmarshal(document, &body) != nil {
		body.Error = wireError{Message: string(document)}
	}
	reported := body.Error
	return wire.Fault{
		Class:   reported.class(status),
		Code:    cmp.Or(reported.Code, reported.Type),
		Message: reported.Message,
	}
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
