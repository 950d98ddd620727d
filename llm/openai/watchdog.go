package openai

import (
	"context"
	"fmt"
	"time"

	"singularity/llm"
)

// watchdog ends a call that has gone silent: it cancels the call's context
// with an *llm.Error as the cause. Only the goroutine of the call uses it.
type watchdog struct {
	first  *time.Timer // runs until the first token
	gap    *time.Timer // runs from then on, anew after each event
	pause  time.Duration
	spoken bool
	stop   context.CancelFunc
}

// watch starts a watchdog over a call. The caller stops it.
func (p *Provider) watch(ctx context.Context) (context.Context, *watchdog) {
	ctx, release := context.WithTimeoutCause(ctx, p.config.Total, tooSlow("the answer was not complete within %s", p.config.Total))
	ctx, cancel := context.WithCancelCause(ctx)
	watch := &watchdog{
		first: time.AfterFunc(p.config.FirstToken, func() {
			cancel(tooSlow("no token within %s", p.config.FirstToken))
		}),
		gap: time.AfterFunc(p.config.Gap, func() {
			cancel(tooSlow("the answer stopped for %s", p.config.Gap))
		}),
		pause: p.config.Gap,
	}
	watch.gap.Stop()
	watch.stop = func() {
		watch.first.Stop()
		watch.gap.Stop()
		cancel(nil)
		release()
	}
	return ctx, watch
}

// saw tells the watchdog of an event, and whether it carried a token.
func (w *watchdog) saw(token bool) {
	if token && !w.spoken {
		w.spoken = true
		w.first.Stop()
	}
	if w.spoken {
		w.gap.Reset(w.pause)
	}
}

func tooSlow(format string, limit time.Duration) error {
	return &llm.Error{Class: llm.Timeout, Provider: Name, Err: fmt.Errorf(format, limit)}
}
