package gemini

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"singularity/llm"
	"singularity/llm/providertest"
	"singularity/llm/wire"
)

// event is one of the protocol, as the vendor sends it.
func event(fields string) string {
	return `data: {` + fields + `"modelVersion":"gemini-2.5-flash-002","responseId":"r1"}` + "\r\n\r\n"
}

func piece(part, rest string) string {
	return event(`"candidates":[{"content":{"parts":[{` + part + `}],"role":"model"}` + rest + `,"index":0}],`)
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text)
	return string(encoded)
}

// counted is the usage as the vendor tells it: thoughts apart from the answer.
func counted(usage llm.Usage) string {
	if !usage.Known() {
		return ""
	}
	const thoughts = 2
	return fmt.Sprintf(`"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"thoughtsTokenCount":%d,"cachedContentTokenCount":%d,"totalTokenCount":%d},`,
		usage.In, usage.Out-thoughts, thoughts, usage.Cached, usage.Total())
}

func finished(reason string, usage llm.Usage) string {
	return event(`"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":` + quoted(reason) + `,"index":0}],` + counted(usage))
}

func asked(req *http.Request, body []byte) (providertest.Asked, error) {
	type content struct {
		Role  string `json:"role"`
		Parts []struct {
			Text string `json:"text"`
		} `json:"parts"`
	}
	var request struct {
		Contents []content `json:"contents"`
		System   content   `json:"systemInstruction"`
		Config   struct {
			MaxTokens int64 `json:"maxOutputTokens"`
		} `json:"generationConfig"`
	}
	err := json.Unmarshal(body, &request)
	model, found := strings.CutSuffix(req.URL.Path, ":streamGenerateContent")
	model, versioned := strings.CutPrefix(model, "/v1beta/models/")
	if good := found && versioned && req.URL.Query().Get("alt") == "sse"; err == nil && !good {
		err = fmt.Errorf("asked at %s, expected a stream of events", req.URL)
	}
	read := providertest.Asked{Model: model, MaxTokens: request.Config.MaxTokens}
	for _, part := range request.System.Parts {
		read.System = append(read.System, part.Text)
	}
	roles := map[string]llm.Role{"user": llm.User, "model": llm.Assistant}
	for _, turn := range request.Contents {
		for _, part := range turn.Parts {
			read.Turns = append(read.Turns, llm.Message{Role: roles[turn.Role], Content: part.Text})
		}
	}
	return read, err
}

func document(code int, status, message, details string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%s,"status":%q,"details":[%s]}}`, code, quoted(message), status, details)
}

func fault(code int, status, message, details string, class llm.Class, reason string) providertest.Fault {
	return providertest.Fault{Status: code, Class: class, Reason: reason, Body: document(code, status, message, details)}
}

const keyInvalid = `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}`

var protocol = providertest.Protocol{
	Name:  Name,
	Model: "gemini-2.5-flash",
	New: func(baseURL, key string, config wire.Config) (llm.Provider, error) {
		return New(baseURL, key, config)
	},
	Env: map[string]string{
		"GEMINI_API_KEY": "key-environment", "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:1/",
		"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_CLOUD_PROJECT": "project-environment", "GOOGLE_CLOUD_LOCATION": "environment",
	},
	Asked:   asked,
	Begin:   event(`"usageMetadata":{"promptTokenCount":90},`),
	Text:    func(text string) string { return piece(`"text":`+quoted(text), "") },
	Thought: piece(`"text":"hm","thought":true`, ""),
	End: func(finish llm.Finish, usage llm.Usage) string {
		return finished(map[llm.Finish]string{llm.Stopped: "STOP", llm.CutShort: "MAX_TOKENS"}[finish], usage)
	},
	Refused: func(reason string, usage llm.Usage) string {
		return event(`"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":` + quoted(reason) + `},` + counted(usage))
	},
	Fault: func(message string) string {
		return "data: " + document(503, "UNAVAILABLE", message, "") + "\r\n\r\n"
	},
	Garbage: []string{
		"data: {\"candidates\": 7\n\n", "data: hello\n\n", "hello\n\n", `data: {"candidates": 7}` + "\n\n", `data: {"candidates": [7]}` + "\n\n",
		`data: {"candidates": [{"content": {"parts": 7}}]}` + "\n\n", `data: {"usageMetadata": "many"}` + "\n\n", `data: []` + "\n\n",
	},
	Counted: llm.Usage{In: 90, Out: 5, Cached: 40},
	Refusal: func(message string) string { return document(0, "SOMETHING", message, "") },
	Faults: map[string]providertest.Fault{
		"wrong key":        fault(400, "INVALID_ARGUMENT", "API key not valid: ***9e7a", keyInvalid, llm.Auth, "API_KEY_INVALID"),
		"no key":           fault(403, "PERMISSION_DENIED", "no key", "", llm.Auth, "PERMISSION_DENIED"),
		"no billing":       fault(400, "FAILED_PRECONDITION", "enable billing", "", llm.Auth, "FAILED_PRECONDITION"),
		"bad request":      fault(400, "INVALID_ARGUMENT", "no contents", "", llm.BadRequest, "no contents"),
		"no such model":    fault(404, "NOT_FOUND", "models/gemini-9 is not found", "", llm.BadRequest, "models/gemini-9 is not found"),
		"rate limit":       fault(429, "RESOURCE_EXHAUSTED", "quota exceeded", "", llm.RateLimit, "quota exceeded"),
		"broken":           fault(500, "INTERNAL", "an internal error", "", llm.Overload, "an internal error"),
		"overloaded":       fault(503, "UNAVAILABLE", "the model is overloaded", "", llm.Overload, "the model is overloaded"),
		"too slow":         fault(504, "DEADLINE_EXCEEDED", "too slow", "", llm.Timeout, "too slow"),
		"errors in a list": {Status: 429, Class: llm.RateLimit, Reason: "quota", Body: "[" + document(429, "RESOURCE_EXHAUSTED", "quota", "") + "]"},
	},
}

func TestProviderConforms(t *testing.T) {
	t.Parallel()
	providertest.Run(t, protocol)
}

//nolint:paralleltest // it sets the environment
func TestEnvironmentIsNotRead(t *testing.T) {
	providertest.EnvironmentIsNotRead(t, protocol)
}

// setup returns a provider for a server that answers by handler.
func setup(t *testing.T, handler http.HandlerFunc) *Provider {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	provider, err := New(server.URL, "key-canary-9e7a", wire.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func question() llm.Request {
	return llm.Request{Model: "gemini-2.5-flash", Messages: []llm.Message{{Role: llm.User, Content: "hello"}}}
}

func TestFilteredAnswersAreRefusals(t *testing.T) {
	t.Parallel()
	for reason, end := range map[string]string{
		"PROHIBITED_CONTENT": event(`"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},`),
		"SAFETY":             finished("SAFETY", protocol.Counted),
		"RECITATION":         finished("RECITATION", protocol.Counted),
	} {
		_, err := setup(t, providertest.Stream(protocol.Text("Hel"), end)).Complete(t.Context(), question())
		if llm.ClassOf(err) != llm.Content || !strings.Contains(err.Error(), "refused to answer: "+reason) {
			t.Errorf("%v, expected a refusal for %s", err, reason)
		}
	}
}

func TestDelayInTheDocumentIsPassedOn(t *testing.T) {
	t.Parallel()
	body := document(429, "RESOURCE_EXHAUSTED", "quota", `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"37.5s"}`)
	_, err := setup(t, providertest.Reply(429, body)).Complete(t.Context(), question())
	failure, _ := errors.AsType[*llm.Error](err)
	if failure == nil || failure.RetryAfter != 37500*time.Millisecond {
		t.Errorf("%v, expected to retry after 37.5s", err)
	}
}

func FuzzFaults(f *testing.F) {
	f.Add(429, []byte(document(429, "RESOURCE_EXHAUSTED", "quota", keyInvalid)))
	f.Add(0, []byte(`[{"error":{"code":503}}]`))
	f.Add(500, []byte("<html>\x00\xff"))
	f.Fuzz(func(t *testing.T, status int, document []byte) {
		if fault := readFault(status, document); fault.Class == "" {
			t.Errorf("%+v has no class", fault)
		}
	})
}

// The SDK panics at documents of another shape than it expects.
func FuzzStream(f *testing.F) {
	for _, events := range append(protocol.Garbage, protocol.Text("Hel"), protocol.Fault("busy"), finished("STOP", protocol.Counted)) {
		f.Add(events)
	}
	f.Fuzz(func(t *testing.T, events string) {
		server := transportFunc(func(req *http.Request) (*http.Response, error) {
			recorder := httptest.NewRecorder()
			providertest.Stream(events)(recorder, req)
			return recorder.Result(), nil
		})
		provider, err := New("http://127.0.0.1", "", wire.Config{Transport: server})
		if err != nil {
			t.Fatal(err)
		}
		if response, err := provider.Complete(t.Context(), question()); err == nil && response.Finish == "" {
			t.Errorf("%+v has not finished", response)
		}
	})
}

// transportFunc answers by a function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
