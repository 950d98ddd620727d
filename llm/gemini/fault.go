package gemini

import (
	"cmp"
	"encoding/json"
	"time"

	"singularity/llm"
	"singularity/llm/wire"
)

// wireError is the error object that all of Google's APIs share.
type wireError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
	Details []struct {
		Reason     string `json:"reason"`
		RetryDelay string `json:"retryDelay"`
	} `json:"details"`
}

// readFault implements the Read of a [wire.Dialect]. The vendor sends
// {"error": {…}}, or that in a list, proxies anything.
func readFault(status int, document []byte) wire.Fault {
	type body struct {
		Error wireError `json:"error"`
	}
	var one body
	var list []body
	switch {
	case json.Unmarshal(document, &one) == nil:
	case json.Unmarshal(document, &list) == nil && len(list) > 0:
		one = list[0]
	default:
		one.Error.Message = string(document)
	}
	reported := one.Error
	fault := wire.Fault{
		Class:   reported.class(cmp.Or(status, reported.Code)),
		Code:    cmp.Or(reported.reason(), reported.Status),
		Message: reported.Message,
	}
	for _, detail := range reported.Details {
		if delay, err := time.ParseDuration(detail.RetryDelay); err == nil && delay > 0 {
			fault.RetryAfter = delay
		}
	}
	return fault
}

// reason is the more precise word for a status that has several.
func (e wireError) reason() string {
	for _, detail := range e.Details {
		if detail.Reason != "" {
			return detail.Reason
		}
	}
	return ""
}

// class goes by the words where they say more than the number: a wrong key and
// an account that may not use the API answer 400 like a bad request.
func (e wireError) class(status int) llm.Class {
	switch e.reason() {
	case "API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED":
		return llm.Auth
	}
	switch e.Status {
	case "FAILED_PRECONDITION", "PERMISSION_DENIED", "UNAUTHENTICATED":
		return llm.Auth
	case "RESOURCE_EXHAUSTED":
		return llm.RateLimit
	case "UNAVAILABLE", "INTERNAL":
		return llm.Overload
	case "DEADLINE_EXCEEDED":
		return llm.Timeout
	}
	if status == 0 {
		return llm.Unknown
	}
	return llm.ClassOfStatus(status)
}
