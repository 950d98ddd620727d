package llm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"singularity/workflow"
)

func TestStatusesHaveClasses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]Class{
		400: BadRequest, 401: Auth, 402: Auth, 403: Auth, 404: BadRequest, 408: Timeout, 409: Unknown, 413: BadRequest,
		422: BadRequest, 425: Unknown, 429: RateLimit, 500: Overload, 502: Overload, 503: Overload, 504: Timeout, 529: Overload, 302: Unknown,
	} {
		if got := ClassOfStatus(status); got != want {
			t.Errorf("%d: %s, expected %s", status, got, want)
		}
	}
}

func TestErrorsHaveClasses(t *testing.T) {
	t.Parallel()
	for want, err := range map[Class]error{
		"":        nil,
		Content:   fmt.Errorf("wrapped: %w", &Error{Class: Content}),
		Timeout:   fmt.Errorf("wrapped: %w", context.DeadlineExceeded),
		Cancelled: context.Canceled,
		Unknown:   errors.New("something"),
	} {
		if got := ClassOf(err); got != want {
			t.Errorf("%v: %s, expected %s", err, got, want)
		}
	}
}

func TestErrorsSayWhoFailedAndHow(t *testing.T) {
	t.Parallel()
	cause := errors.New("slow down")
	err := &Error{Class: RateLimit, Provider: "openai", Status: 429, Err: cause}
	if got, want := err.Error(), "openai: rate_limit (HTTP 429): slow down"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}

func TestErrorsDirectTheEngine(t *testing.T) {
	t.Parallel()
	policy := workflow.Retry{Delays: []time.Duration{time.Second}, Jitter: [2]float64{-1, -1}}
	for name, test := range map[string]struct {
		err   error
		delay time.Duration
		again bool
	}{
		"auth":                   {&Error{Class: Auth}, 0, false},
		"bad request":            {&Error{Class: BadRequest, RetryAfter: time.Minute}, 0, false},
		"content":                {&Error{Class: Content}, 0, false},
		"overload":               {&Error{Class: Overload}, time.Second, true},
		"unknown":                {&Error{Class: Unknown}, time.Second, true},
		"rate limit":             {&Error{Class: RateLimit}, time.Second, true},
		"rate limit with a wait": {&Error{Class: RateLimit, RetryAfter: 7 * time.Second}, 7 * time.Second, true},
		"overload with a wait":   {&Error{Class: Overload, RetryAfter: 3 * time.Second}, 3 * time.Second, true},
		"a wait of a year":       {&Error{Class: RateLimit, RetryAfter: 365 * 24 * time.Hour}, 24 * time.Hour, true},
		"no provider's error":    {errors.New("something"), time.Second, true},
	} {
		step := workflow.Do("call", func(context.Context, *Call) error { return nil }).Retry(policy)
		retry := workflow.Compile(workflow.New("directed", step)).Steps[0].Retry
		delay, again := retry.Next(1, directed(test.err, false), 0)
		if delay != test.delay || again != test.again {
			t.Errorf("%s: again %t after %s, expected %t after %s", name, again, delay, test.again, test.delay)
		}
	}
}
