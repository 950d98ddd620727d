package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"singularity/persistence"
	"singularity/server/tokens"
)

// readmitEvery is how often the token of a stream is looked at again.
const readmitEvery = time.Second

// admission lets callers in by their tokens, or everybody without a verifier.
type admission struct{ tokens *tokens.Verifier }

// admit checks that a caller may use a route that needs a scope, and returns
// the context in which the call goes on.
func (a admission) admit(r *http.Request, needed persistence.TokenScope) (context.Context, *connect.Error) {
	ctx := r.Context()
	if a.tokens == nil || needed == anybody {
		return ctx, nil
	}
	token, refusal := bearer(r.Header)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := a.check(ctx, token, needed); refusal != nil {
		return nil, refusal
	}
	return withReadmission(ctx, func(ctx context.Context) *connect.Error { return a.check(ctx, token, needed) }), nil
}

func (a admission) check(ctx context.Context, token string, needed persistence.TokenScope) *connect.Error {
	scope, err := a.tokens.Verify(ctx, token)
	switch {
	case errors.Is(err, tokens.ErrRefused):
		return challenge(connect.CodeUnauthenticated, err, `Bearer realm="singularity", error="invalid_token"`)
	case err != nil:
		refusal, _ := errors.AsType[*connect.Error](translate(err)) // which it is
		return refusal
	case !scope.Covers(needed):
		return challenge(connect.CodePermissionDenied,
			fmt.Errorf("this needs a token of scope %s, the one that was given has scope %s", needed, scope),
			fmt.Sprintf(`Bearer realm="singularity", error="insufficient_scope", scope="%s"`, needed))
	}
	return nil
}

var errNoToken = errors.New("this needs a token, in a header such as Authorization: Bearer sgt_…")

// bearer returns the token that a request shows.
func bearer(header http.Header) (string, *connect.Error) {
	if credentials := header.Values("Authorization"); len(credentials) == 1 {
		scheme, token, _ := strings.Cut(credentials[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token), nil
		}
	}
	return "", challenge(connect.CodeUnauthenticated, errNoToken, `Bearer realm="singularity"`)
}

// challenge is a refusal that tells programs what is missing.
func challenge(code connect.Code, err error, header string) *connect.Error {
	refusal := connect.NewError(code, err)
	refusal.Meta().Set("WWW-Authenticate", header)
	return refusal
}

// statusOf is the HTTP status of a refusal at the door.
func statusOf(refusal *connect.Error) int {
	switch refusal.Code() {
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	default:
		return http.StatusServiceUnavailable
	}
}

type readmissionKey struct{}

func withReadmission(ctx context.Context, check func(context.Context) *connect.Error) context.Context {
	return context.WithValue(ctx, readmissionKey{}, check)
}

// readmission looks again at the token of a call that takes long; nil when
// there is none. Only a token that has ended ends the call: while the store
// cannot be asked nothing happens in it that a stream could tell.
func readmission(ctx context.Context) func(context.Context) error {
	check, _ := ctx.Value(readmissionKey{}).(func(context.Context) *connect.Error)
	if check == nil {
		return nil
	}
	return func(ctx context.Context) error {
		if refusal := check(ctx); refusal != nil && refusal.Code() == connect.CodeUnauthenticated {
			return refusal
		}
		return nil
	}
}
