package llm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// Class says what kind of failure a call met, and with it what helps.
type Class string

// The classes of failures. A further attempt may mend all but [Auth],
// [BadRequest] and [Content].
const (
	RateLimit  Class = "rate_limit"            // too many calls
	Overload   Class = "overload"              // the provider is overloaded or broken: HTTP 5xx
	Timeout    Class = "timeout"               // no token in time, or the call took too long
	Auth       Class = "auth"                  // the key is wrong, may not use the model, or has no credit left
	BadRequest Class = "bad_request"           // the provider does not accept the request: no such model, too long, …
	Content    Class = centralcloud.Refused    // the answer was refused or filtered, or is too large to keep
	Unparsable Class = centralcloud.Unparsable // the answer is not in the form that was asked for
	Cancelled  Class = centralcloud.Cancelled  // the caller gave up; says nothing about the provider
	Limited    Class = "limited"               // a spending limit left no room for it: nobody was asked
	Unknown    Class = "unknown"               // anything else: no connection, a connection cut, an answer that makes no sense
)

// Error is a failed call to a provider.
type Error struct {
	Class      Class
	Provider   string
	Status     int           // HTTP status; 0 when the failure was not an HTTP answer
	RetryAfter time.Duration // when the provider said how long to wait; else 0
	Err        error
}

func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s", e.Provider, e.Class)
	if e.Status != 0 {
		fmt.Fprintf(&text, " (HTTP %d)", e.Status)
	}
	if e.Err != nil {
		fmt.Fprintf(&text, ": %v", e.Err)
	}
	return text.String()
}

func (e *Error) Unwrap() error { return e.Err }

// asError is the provider's error within err.
func asError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// ClassOf returns the class of an error that came from a provider: empty for
// nil, [Unknown] for what no provider made.
func ClassOf(err error) Class {
	failure, failed := asError(err)
	var limit *LimitError
	switch {
	case err == nil:
		return ""
	case failed:
		return failure.Class
	case errors.As(err, &limit):
		return Limited
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Cancelled
	default:
		return Unknown
	}
}

// ClassOfStatus returns the class of an HTTP status that is not a success.
func ClassOfStatus(status int) Class {
	switch status {
	case http.StatusTooManyRequests:
		return RateLimit
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return Auth
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return Timeout
	case http.StatusConflict, http.StatusTooEarly:
		return Unknown // of passing things; another attempt may do
	}
	switch {
	case status >= 500:
		return Overload
	case status >= 400:
		return BadRequest
	default:
		return Unknown
	}
}

// unavailable reports whether a failure of this class says that the provider
// does not answer: a matter of the model's [breaker].
func (c Class) unavailable() bool {
	switch c {
	case RateLimit, Overload, Timeout, Auth, Unknown:
		return true
	default:
		return false
	}
}

// answered reports whether the provider answered, if only to refuse.
func (c Class) answered() bool { return c == "" || c == BadRequest || c == Content || c == Unparsable }

// maxRetryAfter bounds what a provider may ask for: a nonsensical header must
// not park a run for a year.
const maxRetryAfter = 24 * time.Hour

// directed marks a provider's error with what the engine should do next. What
// holds for the provider only does not matter when the next attempt may go
// elsewhere.
func directed(err error, elsewhere bool) error {
	failure, ok := asError(err)
	if !ok {
		return err
	}
	switch failure.Class {
	case BadRequest, Content:
		return workflow.Permanent(err)
	}
	switch {
	case elsewhere:
		return err
	case failure.Class == Auth:
		return workflow.Permanent(err)
	case failure.RetryAfter > 0:
		return workflow.RetryAfter(err, min(failure.RetryAfter, maxRetryAfter))
	default:
		return err
	}
}
