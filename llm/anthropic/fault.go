package anthropic

import (
	"encoding/json"

	"singularity/llm"
	"singularity/llm/wire"
)

// readFault implements the Read of a [wire.Dialect]. The vendor sends
// {"type": "error", "error": {"type": …, "message": …}}, proxies anything.
func readFault(status int, document []byte) wire.Fault {
	var body struct {
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(document, &body) != nil {
		body.Error.Message = string(document)
	}
	return wire.Fault{
		Class:   classOf(status, body.Error.Type),
		Code:    body.Error.Type,
		Message: body.Error.Message,
	}
}

// classOf goes by the type where it says more than the status: a stream has
// none, and begins before the server knows whether it can go on.
func classOf(status int, kind string) llm.Class {
	switch kind {
	case "authentication_error", "permission_error", "billing_error":
		return llm.Auth
	case "rate_limit_error":
		return llm.RateLimit
	case "overloaded_error", "api_error":
		return llm.Overload
	case "timeout_error":
		return llm.Timeout
	case "invalid_request_error", "not_found_error", "request_too_large":
		return llm.BadRequest
	}
	if status == 0 {
		return llm.Unknown
	}
	return llm.ClassOfStatus(status)
}
