package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"singularity/llm"
	"singularity/llm/providertest"
	"singularity/llm/wire"
)

const testKey = "sk-canary-3b1f0c5d9e7a"

// setup returns a provider for a server that answers by handler.
func setup(t *testing.T, handler http.HandlerFunc) *Provider {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	provider, err := New(server.URL+"/v1", testKey, wire.Config{Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func question() llm.Request {
	return llm.Request{Model: "gpt-5-nano", Messages: []llm.Message{{Role: llm.User, Content: "hello"}}}
}

// event is one of the protocol, as OpenAI sends it.
func event(choices, usage string) string {
	return `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-5-nano-0807","choices":[` + choices + `],"usage":` + usage + "}\n\n"
}

func delta(fields, finish string) string {
	return event(`{"index":0,"delta":{`+fields+`},"finish_reason":`+finish+`}`, "null")
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text)
	return string(encoded)
}

func ending(finish llm.Finish, usage llm.Usage) string {
	end := delta("", quoted(string(finish)))
	if usage.Known() {
		end += event("", fmt.Sprintf(
			`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d}}`,
			usage.In, usage.Out, usage.Total(), usage.Cached, usage.Written))
	}
	return end + "data: [DONE]\n\n"
}

func asked(_ *http.Request, body []byte) (providertest.Asked, error) {
	var request struct {
		Model         string        `json:"model"`
		Messages      []llm.Message `json:"messages"`
		MaxTokens     int64         `json:"max_completion_tokens"`
		Stream        bool          `json:"stream"`
		StreamOptions struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	err := json.Unmarshal(body, &request)
	if good := request.Stream && request.StreamOptions.Usage; err == nil && !good {
		err = fmt.Errorf("asked %s, expected a stream with usage", body)
	}
	read := providertest.Asked{Model: request.Model, MaxTokens: request.MaxTokens}
	for _, message := range request.Messages {
		switch message.Role {
		case llm.System, llm.Developer:
			read.System = append(read.System, message.Content)
		default:
			read.Turns = append(read.Turns, message)
		}
	}
	return read, err
}

var protocol = providertest.Protocol{
	Name:  Name,
	Model: "gpt-5-nano",
	New: func(baseURL, key string, config wire.Config) (llm.Provider, error) {
		return New(baseURL, key, config)
	},
	Env: map[string]string{
		"OPENAI_API_KEY": "sk-environment", "OPENAI_BASE_URL": "http://127.0.0.1:1/",
		"OPENAI_ORG_ID": "environment-org", "OPENAI_CUSTOM_HEADERS": "X-Environment: yes",
	},
	Asked:   asked,
	Begin:   delta(`"role":"assistant","content":""`, "null"),
	Text:    func(piece string) string { return delta(`"content":`+quoted(piece), "null") },
	Thought: delta(`"reasoning_content":"hm"`, "null"),
	End:     ending,
	Refused: func(reason string, usage llm.Usage) string {
		return delta(`"refusal":`+quoted(reason), "null") + ending(llm.Stopped, usage)
	},
	Fault: func(message string) string {
		return `data: {"error":{"message":` + quoted(message) + `,"type":"server_error","code":null}}` + "\n\n"
	},
	Garbage: []string{"data: {\"choices\": 7\n\n", "data: hello\n\n", `data: {"error":"something broke"}` + "\n\n"},
	Counted: llm.Usage{In: 9, Out: 3, Cached: 4, Written: 2},
	Refusal: func(message string) string {
		return `{"error":{"message":` + quoted(message) + `,"type":"some_error","param":null,"code":null}}`
	},
	Faults: map[string]providertest.Fault{
		"wrong key": {
			Status: 401, Class: llm.Auth, Reason: "invalid_api_key",
			Body: `{"error":{"message":"Incorrect API key provided: sk-canar*****9e7a.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
		},
		"no access": {
			Status: 403, Class: llm.Auth, Reason: "request_forbidden",
			Body: `{"error":{"message":"Country not supported","type":"request_forbidden","param":null,"code":null}}`,
		},
		"no credit": {
			Status: 429, Class: llm.Auth, Reason: "insufficient_quota",
			Body: `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`,
		},
		"no such model": {
			Status: 404, Class: llm.BadRequest, Reason: "The model 'gpt-9' does not exist",
			Body: `{"error":{"message":"The model 'gpt-9' does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`,
		},
		"too long": {
			Status: 400, Class: llm.BadRequest, Reason: "maximum context length",
			Body: `{"error":{"message":"This model's maximum context length is 128000 tokens","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`,
		},
		"filtered": {
			Status: 400, Class: llm.Content, Reason: "The response was filtered",
			Body: `{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter"}}`,
		},
		"rate limit": {
			Status: 429, Class: llm.RateLimit, Reason: "Rate limit reached",
			Body: `{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`,
		},
		"broken": {
			Status: 500, Class: llm.Overload, Reason: "The server had an error",
			Body: `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`,
		},
		"error as text": {Status: 400, Class: llm.BadRequest, Reason: "no model is loaded", Body: `{"error":"no model is loaded"}`},
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

func TestIdempotencyKeyIsSent(t *testing.T) {
	t.Parallel()
	var path, key string
	provider := setup(t, func(w http.ResponseWriter, r *http.Request) {
		path, key = r.URL.Path, r.Header.Get("Idempotency-Key")
		providertest.Stream(ending(llm.Stopped, llm.Usage{}))(w, r)
	})
	request := question()
	request.Key = "run/step"
	if _, err := provider.Complete(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if path != "/v1/chat/completions" || key != "run/step" {
		t.Errorf("asked at %s with the idempotency key %q, expected run/step", path, key)
	}
}

func TestAnswersThatEndOtherwise(t *testing.T) {
	t.Parallel()
	counted := llm.Usage{In: 9, Out: 3}
	hello := protocol.Text("Hel")
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		class   llm.Class
		reason  string
	}{
		"by the content filter": {providertest.Stream(hello, ending("content_filter", counted)), llm.Content, "content filter"},
		"without the last event": {
			providertest.Stream(hello, strings.TrimSuffix(ending(llm.Stopped, counted), "data: [DONE]\n\n")), "", "",
		},
		"without a stream": {
			providertest.Reply(200, `{"id":"c1","object":"chat.completion","choices":[]}`), llm.Unknown, "ended before the model had finished",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, err := setup(t, test.handler).Complete(t.Context(), question())
			if class := llm.ClassOf(err); class != test.class || err != nil && !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v, expected class %q: %s", err, test.class, test.reason)
			}
			if test.class != llm.Unknown && response.Usage != counted {
				t.Errorf("usage %+v, expected %+v", response.Usage, counted)
			}
		})
	}
}

func TestErrorEventsAreClassed(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]llm.Class{
		`{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`: llm.RateLimit,
		`{"error":{"message":"bad role","type":"invalid_request_error"}}`:                           llm.BadRequest,
		`{"error":{"message":"Provider returned error","code":502}}`:                                llm.Overload,
	} {
		_, err := setup(t, providertest.Stream(protocol.Begin, "data: "+document+"\n\n")).Complete(t.Context(), question())
		if llm.ClassOf(err) != want {
			t.Errorf("%s: %v, expected class %s", document, err, want)
		}
	}
}
