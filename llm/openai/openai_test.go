package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"singularity/llm"
)

const testKey = "sk-canary-3b1f0c5d9e7a"

// setup returns a provider for a server that answers by handler.
func setup(t *testing.T, handler http.HandlerFunc) *Provider {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	provider, err := New(server.URL+"/v1", testKey, Config{Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func question() llm.Request {
	return llm.Request{Model: "gpt-5-nano", Messages: []llm.Message{{Role: llm.User, Content: "hello"}}}
}

// stream answers with events, one for each document, as they are.
func stream(documents ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { sendEvents(w, documents...) }
}

func sendEvents(w http.ResponseWriter, documents ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, document := range documents {
		_, _ = fmt.Fprintf(w, "data: %s\n\n", document)
		_ = http.NewResponseController(w).Flush()
	}
}

// reply answers with a status and a JSON body.
func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Events of the protocol, as OpenAI sends them.
const (
	announcement = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}`
	hello        = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}],"usage":null}`
	lo           = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}],"usage":null}`
	refusal      = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{"refusal":"I cannot help with that."},"finish_reason":null}],"usage":null}`
	stopped      = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`
	cutShort     = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":null}`
	filtered     = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}],"usage":null}`
	usage        = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}`
	done         = `[DONE]`
)

func TestAnswerIsStreamedAndCounted(t *testing.T) {
	t.Parallel()
	var request struct {
		path   string
		header http.Header
		body   map[string]any
	}
	provider := setup(t, func(w http.ResponseWriter, r *http.Request) {
		request.path, request.header = r.URL.Path, r.Header.Clone()
		if err := json.NewDecoder(r.Body).Decode(&request.body); err != nil {
			t.Error(err)
		}
		sendEvents(w, announcement, hello, lo, stopped, usage, done)
	})

	var pieces []string
	response, err := provider.Complete(t.Context(), llm.Request{
		Model: "gpt-5-nano", TaskType: "chat", Key: "run/step", Attempt: 2,
		Messages: []llm.Message{
			{Role: llm.System, Content: "be brief"},
			{Role: llm.Developer, Content: "be kind"},
			{Role: llm.User, Content: "hi"},
			{Role: llm.Assistant, Content: "hi!"},
			{Role: llm.User, Content: "hello?"},
		},
		OnText: func(delta string) { pieces = append(pieces, delta) },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Response{Text: "Hello", Model: "gpt-5-nano-0807", Finish: llm.Stopped, Usage: llm.Usage{In: 9, Out: 3, Cached: 4}}
	if response != want {
		t.Errorf("%+v, expected %+v", response, want)
	}
	if want := []string{"Hel", "lo"}; !reflect.DeepEqual(pieces, want) {
		t.Errorf("pieces %q, expected %q", pieces, want)
	}

	if request.path != "/v1/chat/completions" {
		t.Errorf("asked at %s", request.path)
	}
	if got := request.header.Get("Authorization"); got != "Bearer "+testKey {
		t.Errorf("authorised by %q", got)
	}
	if got := request.header.Get("Idempotency-Key"); got != "run/step" {
		t.Errorf("idempotency key %q, expected run/step", got)
	}
	wantBody := map[string]any{
		"model":          "gpt-5-nano",
		"stream":         true,
		"stream_options": map[string]any{"include_usage": true},
		"messages": []any{
			map[string]any{"role": "system", "content": "be brief"},
			map[string]any{"role": "developer", "content": "be kind"},
			map[string]any{"role": "user", "content": "hi"},
			map[string]any{"role": "assistant", "content": "hi!"},
			map[string]any{"role": "user", "content": "hello?"},
		},
	}
	if !reflect.DeepEqual(request.body, wantBody) {
		t.Errorf("asked %v, expected %v", request.body, wantBody)
	}
}

func TestAnswersThatEndOtherwise(t *testing.T) {
	t.Parallel()
	counted := llm.Usage{In: 9, Out: 3, Cached: 4}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    llm.Response
		class   llm.Class
		reason  string
	}{
		"at the model's limit": {
			handler: stream(hello, cutShort, usage, done),
			want:    llm.Response{Text: "Hel", Finish: llm.CutShort, Usage: counted},
		},
		"without usage": {
			handler: stream(hello, stopped, done),
			want:    llm.Response{Text: "Hel", Finish: llm.Stopped},
		},
		"without the last event": {
			handler: stream(hello, stopped, usage),
			want:    llm.Response{Text: "Hel", Finish: llm.Stopped, Usage: counted},
		},
		"with nothing said": {
			handler: stream(announcement, stopped, usage, done),
			want:    llm.Response{Finish: llm.Stopped, Usage: counted},
		},
		"with a refusal": {
			handler: stream(refusal, stopped, usage, done),
			want:    llm.Response{Usage: counted},
			class:   llm.Content, reason: "the model refused to answer: I cannot help with that.",
		},
		"by the content filter": {
			handler: stream(hello, filtered, usage, done),
			want:    llm.Response{Usage: counted},
			class:   llm.Content, reason: "content filter",
		},
		"before the finish": {
			handler: stream(announcement, hello, done),
			class:   llm.Unknown, reason: "ended before the model had finished",
		},
		"with the connection": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				sendEvents(w, announcement, hello)
				panic(http.ErrAbortHandler)
			},
			class: llm.Unknown, reason: "unexpected EOF",
		},
		"in nonsense": {
			handler: stream(hello, `{"choices": 7`),
			class:   llm.Unknown, reason: "JSON",
		},
		"without a stream": {
			handler: reply(200, `{"id":"c1","object":"chat.completion","choices":[]}`),
			class:   llm.Unknown, reason: "ended before the model had finished",
		},
		"never": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				piece := strings.Replace(hello, "Hel", strings.Repeat("Hel", 10_000), 1)
				for range llm.MaxText/30_000 + 1 {
					sendEvents(w, piece)
				}
			},
			class: llm.Content, reason: "longer than",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, err := setup(t, test.handler).Complete(t.Context(), question())
			if class := llm.ClassOf(err); class != test.class {
				t.Errorf("class %q, expected %q: %v", class, test.class, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v, expected %q", err, test.reason)
			}
			if response.Usage != test.want.Usage {
				t.Errorf("usage %+v, expected %+v", response.Usage, test.want.Usage)
			}
			if err == nil && (response.Text != test.want.Text || response.Finish != test.want.Finish) {
				t.Errorf("%+v, expected %+v", response, test.want)
			}
		})
	}
}

func TestErrorAnswersAreClassed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    llm.Error
		reason  string
	}{
		"wrong key": {
			reply(401, `{"error":{"message":"Incorrect API key provided: sk-canar*****9e7a.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`),
			llm.Error{Class: llm.Auth, Status: 401}, "invalid_api_key",
		},
		"no access": {
			reply(403, `{"error":{"message":"Country not supported","type":"request_forbidden","param":null,"code":null}}`),
			llm.Error{Class: llm.Auth, Status: 403}, "request_forbidden",
		},
		"no credit": {
			reply(429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`),
			llm.Error{Class: llm.Auth, Status: 429}, "insufficient_quota",
		},
		"no such model": {
			reply(404, `{"error":{"message":"The model 'gpt-9' does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`),
			llm.Error{Class: llm.BadRequest, Status: 404}, "The model 'gpt-9' does not exist",
		},
		"too long": {
			reply(400, `{"error":{"message":"This model's maximum context length is 128000 tokens","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`),
			llm.Error{Class: llm.BadRequest, Status: 400}, "maximum context length",
		},
		"filtered": {
			reply(400, `{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter"}}`),
			llm.Error{Class: llm.Content, Status: 400}, "The response was filtered",
		},
		"rate limit": {
			reply(429, `{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`),
			llm.Error{Class: llm.RateLimit, Status: 429}, "Rate limit reached",
		},
		"broken": {
			reply(500, `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`),
			llm.Error{Class: llm.Overload, Status: 500}, "The server had an error",
		},
		"error as text": {
			reply(400, `{"error":"no model is loaded"}`),
			llm.Error{Class: llm.BadRequest, Status: 400}, "no model is loaded",
		},
		"error of another shape": {
			reply(422, `{"detail":"field required"}`),
			llm.Error{Class: llm.BadRequest, Status: 422}, "Unprocessable Entity",
		},
		"page of a proxy": {
			func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "<html>\n<h1>502 Bad Gateway</h1>\n</html>", http.StatusBadGateway)
			},
			llm.Error{Class: llm.Overload, Status: 502}, "502 Bad Gateway",
		},
		"nothing": {
			reply(503, ``),
			llm.Error{Class: llm.Overload, Status: 503}, "Service Unavailable",
		},
		"redirect": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/v2/chat/completions", http.StatusTemporaryRedirect)
			},
			llm.Error{Class: llm.Unknown}, "the server redirects",
		},
		"in the stream": {
			stream(hello, `{"error":{"message":"The server had an error","type":"server_error","code":null}}`),
			llm.Error{Class: llm.Overload}, "The server had an error",
		},
		"in the stream, rate limit": {
			stream(`{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`),
			llm.Error{Class: llm.RateLimit}, "Rate limit reached",
		},
		"in the stream, bad request": {
			stream(`{"error":{"message":"bad role","type":"invalid_request_error"}}`),
			llm.Error{Class: llm.BadRequest}, "bad role",
		},
		"in the stream, numbered": {
			stream(`{"error":{"message":"Provider returned error","code":502}}`),
			llm.Error{Class: llm.Overload}, "Provider returned error",
		},
		"in the stream, as text": {
			stream(`{"error":"something broke"}`),
			llm.Error{Class: llm.Unknown}, "something broke",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			provider := setup(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				test.handler(w, r)
			})
			_, err := provider.Complete(t.Context(), question())
			var failure *llm.Error
			if !errors.As(err, &failure) {
				t.Fatalf("%v, expected an *llm.Error", err)
			}
			if failure.Class != test.want.Class || failure.Status != test.want.Status || failure.Provider != Name {
				t.Errorf("class %s, status %d; expected class %s, status %d: %v", failure.Class, failure.Status, test.want.Class, test.want.Status, err)
			}
			if !strings.Contains(err.Error(), test.reason) || strings.Contains(err.Error(), "9e7a") {
				t.Errorf("%v, expected %q and no part of the key", err, test.reason)
			}
			if calls.Load() != 1 {
				t.Errorf("%d calls, expected that only the engine retries", calls.Load())
			}
		})
	}
}

func TestServerThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	provider, err := New(server.URL, testKey, Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.Complete(t.Context(), question())
	if llm.ClassOf(err) != llm.Unknown || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v, expected a refused connection of class unknown", err)
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	t.Parallel()
	provider := setup(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		reply(429, `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`)(w, r)
	})
	_, err := provider.Complete(t.Context(), question())
	var failure *llm.Error
	if !errors.As(err, &failure) || failure.RetryAfter != 7*time.Second {
		t.Errorf("%v, expected to retry after 7s", err)
	}
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

// The key goes into one header, and nowhere else.
func TestKeyNeverShows(t *testing.T) {
	t.Parallel()
	echo := func(status int, format string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			reply(status, strings.ReplaceAll(format, "KEY", r.Header.Get("Authorization")))(w, r)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"error":         echo(400, `{"error":{"message":"bad: KEY","type":"KEY","code":"KEY"}}`),
		"wrong key":     echo(401, `{"error":{"message":"bad: KEY","type":"auth","code":"bad_key"}}`),
		"code":          echo(400, `{"error":{"message":"","type":"","code":"KEY"}}`),
		"code for auth": echo(401, `{"error":{"message":"","type":"","code":"KEY"}}`),
		"text":          echo(500, `KEY`),
		"stream": func(w http.ResponseWriter, r *http.Request) {
			sendEvents(w, `{"error":{"message":"`+r.Header.Get("Authorization")+`"}}`)
		},
		"nonsense": func(w http.ResponseWriter, r *http.Request) {
			sendEvents(w, `{"choices":"`+r.Header.Get("Authorization")+`"}`)
		},
		"refusal": func(w http.ResponseWriter, r *http.Request) {
			sendEvents(w, strings.Replace(refusal, "I cannot", r.Header.Get("Authorization"), 1), stopped, done)
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := setup(t, handler)
			_, err := provider.Complete(t.Context(), question())
			_, embedErr := provider.Embedder("m", 0).Embed(t.Context(), "hello")
			for _, err := range []error{err, embedErr} {
				if err == nil {
					t.Fatal("no error to look into")
				}
				for link := err; link != nil; link = errors.Unwrap(link) {
					encoded, _ := json.Marshal(link)
					for _, shown := range []string{fmt.Sprintf("%v %+v %#v", link, link, link), string(encoded)} {
						if strings.Contains(shown, testKey) {
							t.Errorf("the key shows in %s", shown)
						}
					}
				}
			}
			if shown := fmt.Sprintf("%v %+v %#v", provider, provider, provider); strings.Contains(shown, testKey) {
				t.Errorf("the key shows in the provider: %s", shown)
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		baseURL, key string
		config       Config
		want         string // empty: accepted
	}{
		"OpenAI with a key":       {"", testKey, Config{}, ""},
		"a server without a key":  {"http://127.0.0.1:8000/v1", "", Config{}, ""},
		"a server with a key":     {"https://example.org", testKey, Config{}, ""},
		"OpenAI without a key":    {"", "", Config{}, "no API key"},
		"no scheme":               {"example.org/v1", testKey, Config{}, "expected one such as https://api.openai.com/v1"},
		"another scheme":          {"ftp://example.org", testKey, Config{}, "is not an HTTP URL"},
		"no URL":                  {"http://[::1", testKey, Config{}, "is not an HTTP URL"},
		"a key for a URL":         {testKey, "", Config{}, "is not an HTTP URL"},
		"a password in the URL":   {"https://user:" + testKey + "@example.org", "", Config{}, "the base URL has a user"},
		"a key in the URL":        {"https://example.org/?key=" + testKey, "", Config{}, "a query"},
		"a key with a line break": {"", testKey + "\n", Config{}, "spaces and line breaks"},
		"negative timeouts":       {"", testKey, Config{Gap: -1}, "gap timeout -1ns is negative"},
	} {
		_, err := New(test.baseURL, test.key, test.config)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, expected %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the key shows in %v", name, err)
		}
	}
}

func TestEnvironmentIsNotRead(t *testing.T) { // not parallel: it sets the environment
	t.Setenv("OPENAI_API_KEY", "sk-environment")
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/")
	t.Setenv("OPENAI_ORG_ID", "environment")
	t.Setenv("OPENAI_CUSTOM_HEADERS", "X-Environment: yes")
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		sendEvents(w, hello, stopped, usage, done)
	}))
	defer server.Close()
	provider, err := New(server.URL, "", Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Complete(t.Context(), question()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Authorization", "OpenAI-Organization", "X-Environment", "Idempotency-Key"} {
		if value := header.Get(name); value != "" {
			t.Errorf("%s: %s was sent", name, value)
		}
	}
}
