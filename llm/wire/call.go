package wire

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"singularity/llm"
)

// Call is one call of a provider. It ends the call's context when the server
// has gone silent, with an [llm.Error] as the cause. Only the goroutine of the
// call uses it.
type Call struct {
	server *Server
	stop   context.CancelFunc

	first  *time.Timer // runs until the first token
	gap    *time.Timer // runs from then on, anew after each event
	spoken bool

	// What the transport has noted of the answer.
	status   int
	header   http.Header
	document []byte // of an error
	broken   error  // what the body broke with
}

type callKey struct{}

func callOf(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

// Stream begins a call whose answer comes piece by piece: [Call.Saw] is to hear
// of each. The context is for the SDK. The caller stops the call.
func (s *Server) Stream(ctx context.Context) (context.Context, *Call) {
	ctx, call := s.begin(ctx, s.timeouts.Total, "the answer was not complete within %s")
	ctx, cancel := context.WithCancelCause(ctx)
	call.first = time.AfterFunc(s.timeouts.FirstToken, func() {
		cancel(s.tooSlow("no token within %s", s.timeouts.FirstToken))
	})
	call.gap = time.AfterFunc(s.timeouts.Gap, func() {
		cancel(s.tooSlow("the answer stopped for %s", s.timeouts.Gap))
	})
	call.gap.Stop()
	release := call.stop
	call.stop = func() {
		call.first.Stop()
		call.gap.Stop()
		cancel(nil)
		release()
	}
	return ctx, call
}

// Once begins a call whose answer comes at once: it has as long as another has
// for its first token.
func (s *Server) Once(ctx context.Context) (context.Context, *Call) {
	return s.begin(ctx, s.timeouts.FirstToken, "no answer within %s")
}

func (s *Server) begin(ctx context.Context, limit time.Duration, format string) (context.Context, *Call) {
	call := &Call{server: s}
	ctx, call.stop = context.WithTimeoutCause(context.WithValue(ctx, callKey{}, call), limit, s.tooSlow(format, limit))
	return ctx, call
}

// Stop releases what the call holds.
func (c *Call) Stop() { c.stop() }

// Saw tells the call of an event of its stream, and whether it carried a token.
func (c *Call) Saw(token bool) {
	if token && !c.spoken {
		c.spoken = true
		c.first.Stop()
	}
	if c.spoken {
		c.gap.Reset(c.server.timeouts.Gap)
	}
}

func (s *Server) tooSlow(format string, limit time.Duration) error {
	return &llm.Error{Class: llm.Timeout, Provider: s.dialect.Provider, Err: fmt.Errorf(format, limit)}
}
