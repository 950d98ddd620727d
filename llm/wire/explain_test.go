package wire

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"singularity/llm"
)

const testKey = "sk-canary-3b1f0c5d9e7a"

func newServer(t testing.TB, transport http.RoundTripper) *Server {
	t.Helper()
	server, err := NewServer(Dialect{
		Provider:  "fake",
		BaseURL:   "http://fake",
		Authorise: func(header http.Header, key string) { header.Set("X-Api-Key", key) },
		Read: func(_ int, document []byte) Fault {
			return Fault{Class: llm.BadRequest, Message: string(document)}
		},
	}, "", testKey, Config{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// transportFunc answers by a function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestKeyIsInTheRequestThatLeavesOnly(t *testing.T) {
	t.Parallel()
	var sent *http.Request
	server := newServer(t, transportFunc(func(req *http.Request) (*http.Response, error) {
		sent = req
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, nil
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.BaseURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Goog-Api-Key", "placeholder")
	res, err := server.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if sent.Header.Get("X-Api-Key") != testKey || sent.Header.Get("X-Goog-Api-Key") != "" {
		t.Errorf("sent %v, expected the key and no placeholder", sent.Header)
	}
	if req.Header.Get("X-Api-Key") != "" || res.Request.Header.Get("X-Api-Key") != "" {
		t.Errorf("the caller holds the key: %v, %v", req.Header, res.Request.Header)
	}
}

func TestSilentAnswersAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		ctx, call := newServer(t, nil).Once(t.Context())
		defer call.Stop()
		<-ctx.Done()
		err := call.Explain(ctx, ctx.Err())
		if elapsed := time.Since(started); llm.ClassOf(err) != llm.Timeout || elapsed != 30*time.Second {
			t.Errorf("%v after %s, expected a timeout after 30s", err, elapsed)
		}
	})
}

func TestRetryAfterIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 9, 30, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"absent":           {http.Header{}, 0},
		"seconds":          {http.Header{"Retry-After": {"20"}}, 20 * time.Second},
		"parts of seconds": {http.Header{"Retry-After": {"0.5"}}, 500 * time.Millisecond},
		"milliseconds":     {http.Header{"Retry-After-Ms": {"1500"}, "Retry-After": {"2"}}, 1500 * time.Millisecond},
		"date":             {http.Header{"Retry-After": {"Tue, 30 Sep 2025 12:01:30 GMT"}}, 90 * time.Second},
		"date in the past": {http.Header{"Retry-After": {"Tue, 30 Sep 2025 11:00:00 GMT"}}, 0},
		"negative":         {http.Header{"Retry-After": {"-3"}}, 0},
		"infinite":         {http.Header{"Retry-After": {"Inf"}}, 0},
		"not a number":     {http.Header{"Retry-After": {"NaN"}}, 0},
		"nonsense":         {http.Header{"Retry-After": {"soon"}}, 0},
	} {
		if got := retryAfter(test.header, now); got != test.want {
			t.Errorf("%s: %s, expected %s", name, got, test.want)
		}
	}
}

func FuzzErrorTexts(f *testing.F) {
	f.Add("slow down")
	f.Add(testKey + "\n" + testKey)
	f.Add("<html>\x00\xff")
	f.Add(strings.Repeat("é", 600))
	server := newServer(f, nil)
	f.Fuzz(func(t *testing.T, said string) {
		ctx, call := server.Once(t.Context())
		defer call.Stop()
		err := call.Explain(ctx, errors.New(said))
		text := err.Error()
		if strings.Contains(text, testKey) || strings.ContainsAny(text, "\n\x00") || !utf8.ValidString(text) || len(text) > 4*520 {
			t.Errorf("unclean text %q", text)
		}
	})
}
