package providertest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/llm"
)

func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// after is silent once it has sent some events.
func after(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sendEvents(w, append(events, "")...) // the empty one sends the head
		silence(w, r)
	}
}

// every sends an event again and again, without end.
func every(interval time.Duration, event string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			sendEvents(w, event)
			time.Sleep(interval) // of the bubble's clock
		}
	}
}

func testSilence(t *testing.T, p Protocol) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    time.Duration
		reason  string
	}{
		"before its head":        {silence, 30 * time.Second, "no token within 30s"},
		"after its head":         {after(), 30 * time.Second, "no token within 30s"},
		"before the first token": {after(p.Begin), 30 * time.Second, "no token within 30s"},
		"announcing for ever":    {every(10*time.Second, p.Begin), 30 * time.Second, "no token within 30s"},
		"after a token":          {after(p.Begin, p.Text("Hel")), 60 * time.Second, "the answer stopped for 1m0s"},
		"after a thought":        {after(p.Begin, p.Thought), 60 * time.Second, "the answer stopped for 1m0s"},
		"in mid-event":           {after(p.Text("Hel"), p.Text("lo")[:20]), 60 * time.Second, "the answer stopped for 1m0s"},
		"never, without end":     {every(59*time.Second, p.Text("Hel")), 10 * time.Minute, "not complete within 10m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				provider := p.inMemory(t, llm.Timeouts{}, test.handler)
				started := time.Now()
				_, err := provider.Complete(t.Context(), p.question())
				if elapsed := time.Since(started); llm.ClassOf(err) != llm.Timeout || elapsed != test.want {
					t.Errorf("%v after %s, expected a timeout after %s", err, elapsed, test.want)
				}
				if err != nil && !strings.Contains(err.Error(), test.reason) {
					t.Errorf("%v, expected %q", err, test.reason)
				}
			})
		})
	}
}

func testSlowness(t *testing.T, p Protocol) {
	synctest.Test(t, func(t *testing.T) {
		provider := p.inMemory(t, llm.Timeouts{}, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(29 * time.Second) // of the bubble's clock
			for _, event := range []string{p.Text("Hel"), p.Text("lo"), p.End(llm.Stopped, p.Counted)} {
				sendEvents(w, event)
				time.Sleep(59 * time.Second)
			}
		})
		response, err := provider.Complete(t.Context(), p.question())
		if err != nil || response.Text != "Hello" {
			t.Errorf("%+v, %v", response, err)
		}
	})
}

func testTimeouts(t *testing.T, p Protocol) {
	timeouts := llm.Timeouts{FirstToken: 2 * time.Second, Gap: 3 * time.Second, Total: 20 * time.Second}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    time.Duration
	}{
		"first token": {silence, timeouts.FirstToken},
		"gap":         {after(p.Text("Hel")), timeouts.Gap},
		"total":       {every(2*time.Second, p.Text("Hel")), timeouts.Total},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				provider := p.inMemory(t, timeouts, test.handler)
				started := time.Now()
				_, err := provider.Complete(t.Context(), p.question())
				if elapsed := time.Since(started); llm.ClassOf(err) != llm.Timeout || elapsed != test.want {
					t.Errorf("%v after %s, expected a timeout after %s", err, elapsed, test.want)
				}
			})
		})
	}
}

func testGivingUp(t *testing.T, p Protocol) {
	for name, test := range map[string]struct {
		end   func(context.Context) (context.Context, context.CancelFunc)
		class llm.Class
	}{
		"by cancelling": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(5*time.Second, cancel)
			return ctx, cancel
		}, llm.Cancelled},
		"by a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, llm.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				provider := p.inMemory(t, llm.Timeouts{}, after(p.Text("Hel")))
				ctx, cancel := test.end(t.Context())
				defer cancel()
				started := time.Now()
				_, err := provider.Complete(ctx, p.question())
				if elapsed := time.Since(started); llm.ClassOf(err) != test.class || elapsed != 5*time.Second {
					t.Errorf("%v after %s, expected class %s after 5s", err, elapsed, test.class)
				}
			})
		})
	}
}
