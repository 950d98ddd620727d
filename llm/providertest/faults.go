package providertest

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"singularity/llm"
	"singularity/llm/wire"
)

func testFaults(t *testing.T, p Protocol) {
	faults := map[string]Fault{ // of what stands before a server
		"page of a proxy": {502, "<html>\n<h1>502 Bad Gateway</h1>\n</html>", llm.Overload, "502 Bad Gateway"},
		"nothing":         {503, ``, llm.Overload, "Service Unavailable"},
		"another shape":   {422, `{"detail":"field required"}`, llm.BadRequest, "Unprocessable Entity"},
		"a number":        {500, `7`, llm.Overload, ""},
	}
	maps.Copy(faults, p.Faults)
	for name, test := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			provider := p.provider(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				Reply(test.Status, test.Body)(w, r)
			})
			_, err := provider.Complete(t.Context(), p.question())
			var failure *llm.Error
			if !errors.As(err, &failure) {
				t.Fatalf("%v, expected an *llm.Error", err)
			}
			if failure.Class != test.Class || failure.Status != test.Status || failure.Provider != p.Name {
				t.Errorf("class %s, status %d; expected class %s, status %d: %v", failure.Class, failure.Status, test.Class, test.Status, err)
			}
			if !strings.Contains(err.Error(), test.Reason) || strings.Contains(err.Error(), "9e7a") {
				t.Errorf("%v, expected %q and no part of the key", err, test.Reason)
			}
			if calls.Load() != 1 {
				t.Errorf("%d calls, expected that only the engine retries", calls.Load())
			}
		})
	}
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		_, err := p.provider(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}).Complete(t.Context(), p.question())
		if llm.ClassOf(err) != llm.Unknown || !strings.Contains(err.Error(), "the server redirects") {
			t.Errorf("%v, expected that the redirect is refused", err)
		}
	})
}

func testRetryAfter(t *testing.T, p Protocol) {
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for name, test := range map[string]struct {
		value    string
		from, to time.Duration
	}{
		"seconds": {"7", 7 * time.Second, 7 * time.Second},
		"a date":  {date, 60 * time.Second, 90 * time.Second},
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			_, err := p.provider(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", test.value)
				Reply(status, p.Refusal("slow down"))(w, r)
			}).Complete(t.Context(), p.question())
			var failure *llm.Error
			if !errors.As(err, &failure) || failure.RetryAfter < test.from || failure.RetryAfter > test.to {
				t.Errorf("%s with status %d: %#v, expected to retry after %s to %s", name, status, failure, test.from, test.to)
			}
		}
	}
}

func testNoServer(t *testing.T, p Protocol) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	provider, err := p.New(server.URL, testKey, wire.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.Complete(t.Context(), p.question())
	if llm.ClassOf(err) != llm.Unknown || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v, expected a refused connection of class unknown", err)
	}
}
