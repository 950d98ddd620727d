package anthropic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"singularity/llm"
	"singularity/llm/providertest"
	"singularity/llm/wire"
)

// event is one of the protocol, as the vendor sends it.
func event(kind, fields string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + fields + "}\n\n"
}

func delta(fields string) string {
	return event("content_block_delta", `,"index":0,"delta":{`+fields+`}`)
}

func quoted(text string) string {
	encoded, _ := json.Marshal(text)
	return string(encoded)
}

func started(usage string) string {
	return event("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[],"stop_reason":null,"stop_sequence":null,"usage":`+usage+`}`) +
		event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`) +
		event("ping", "")
}

// counts are what the vendor says of a usage: its request in three parts.
func counts(usage llm.Usage) string {
	return fmt.Sprintf(`{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,"output_tokens":%d}`,
		usage.In-usage.Cached-usage.Written, usage.Written, usage.Cached, usage.Out)
}

func stopped(reason, details string, usage llm.Usage) string {
	told := `{}`
	if usage.Known() {
		told = counts(usage)
	}
	return event("content_block_stop", `,"index":0`) +
		event("message_delta", `,"delta":{"stop_reason":`+quoted(reason)+`,"stop_sequence":null`+details+`},"usage":`+told) +
		event("message_stop", "")
}

func asked(req *http.Request, body []byte) (providertest.Asked, error) {
	type text struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	var request struct {
		Model     string `json:"model"`
		MaxTokens int64  `json:"max_tokens"`
		Stream    bool   `json:"stream"`
		System    []text `json:"system"`
		Messages  []struct {
			Role    llm.Role `json:"role"`
			Content []text   `json:"content"`
		} `json:"messages"`
	}
	err := json.Unmarshal(body, &request)
	good := request.Stream && request.MaxTokens > 0 && req.URL.Path == "/v1/messages" && req.Header.Get("Anthropic-Version") != ""
	if err == nil && !good {
		err = fmt.Errorf("asked %s at %s, expected a stream of messages with a bound, of a certain version", body, req.URL.Path)
	}
	read := providertest.Asked{Model: request.Model, MaxTokens: request.MaxTokens}
	for _, instruction := range request.System {
		read.System = append(read.System, instruction.Text)
	}
	for _, message := range request.Messages {
		for _, part := range message.Content {
			read.Turns = append(read.Turns, llm.Message{Role: message.Role, Content: part.Text})
		}
	}
	return read, err
}

// fault is an error answer as the vendor sends it.
func fault(status int, kind, message string, class llm.Class, reason string) providertest.Fault {
	return providertest.Fault{Status: status, Class: class, Reason: reason, Body: document(kind, message)}
}

func document(kind, message string) string {
	return `{"type":"error","error":{"type":` + quoted(kind) + `,"message":` + quoted(message) + `},"request_id":"req_1"}`
}

var protocol = providertest.Protocol{
	Name:  Name,
	Model: "claude-haiku-4-5",
	New: func(baseURL, key string, config wire.Config) (llm.Provider, error) {
		return New(baseURL, key, config)
	},
	Env: map[string]string{
		"ANTHROPIC_API_KEY": "sk-environment", "ANTHROPIC_AUTH_TOKEN": "token-environment",
		"ANTHROPIC_BASE_URL": "http://127.0.0.1:1/", "ANTHROPIC_CUSTOM_HEADERS": "X-Environment: yes",
	},
	Asked:   asked,
	Begin:   started(`{"input_tokens":1,"output_tokens":1}`),
	Text:    func(piece string) string { return delta(`"type":"text_delta","text":` + quoted(piece)) },
	Thought: delta(`"type":"thinking_delta","thinking":"hm"`),
	End: func(finish llm.Finish, usage llm.Usage) string {
		reason := map[llm.Finish]string{llm.Stopped: "end_turn", llm.CutShort: "max_tokens"}[finish]
		return stopped(reason, "", usage)
	},
	Refused: func(reason string, usage llm.Usage) string {
		return stopped("refusal", `,"stop_details":{"type":"refusal","category":null,"explanation":`+quoted(reason)+`}`, usage)
	},
	Fault: func(message string) string {
		return "event: error\ndata: " + document("overloaded_error", message) + "\n\n"
	},
	Garbage: []string{
		"event: message_start\ndata: {\"message\": 7\n\n", "event: content_block_delta\ndata: hello\n\n", "data: hello\n\n",
		"event: error\ndata: hello\n\n", event("message_start", `,"message":7`), event("content_block_delta", `,"delta":[]`),
	},
	Counted: llm.Usage{In: 90, Out: 3, Cached: 40, Written: 20},
	Refusal: func(message string) string { return document("some_error", message) },
	Faults: map[string]providertest.Fault{
		"wrong key":     fault(401, "authentication_error", "invalid x-api-key ***9e7a", llm.Auth, "authentication_error"),
		"no access":     fault(403, "permission_error", "not for you", llm.Auth, "permission_error"),
		"no credit":     fault(402, "billing_error", "pay first", llm.Auth, "billing_error"),
		"no such model": fault(404, "not_found_error", "model: claude-9", llm.BadRequest, "model: claude-9"),
		"bad request":   fault(400, "invalid_request_error", "max_tokens: too large", llm.BadRequest, "max_tokens: too large"),
		"too long":      fault(413, "request_too_large", "too large", llm.BadRequest, "too large"),
		"rate limit":    fault(429, "rate_limit_error", "slow down", llm.RateLimit, "slow down"),
		"overloaded":    fault(529, "overloaded_error", "Overloaded", llm.Overload, "Overloaded"),
		"broken":        fault(500, "api_error", "Internal server error", llm.Overload, "Internal server error"),
		"too slow":      fault(504, "timeout_error", "timed out", llm.Timeout, "timed out"),
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

// complete asks a server that answers with these events.
func complete(t *testing.T, events ...string) (llm.Response, error) {
	t.Helper()
	server := httptest.NewServer(providertest.Stream(events...))
	defer server.Close()
	provider, err := New(server.URL, "", wire.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return provider.Complete(t.Context(), llm.Request{Model: "claude-haiku-4-5", Messages: []llm.Message{{Role: llm.User, Content: "hello"}}})
}

// Older servers tell the request's tokens at the start only, and the answer's
// at the end only.
func TestUsageIsPutTogetherFromBothEnds(t *testing.T) {
	t.Parallel()
	response, err := complete(t,
		started(`{"input_tokens":5,"cache_creation_input_tokens":20,"cache_read_input_tokens":40,"output_tokens":1}`),
		protocol.Text("Hello"),
		event("message_delta", `,"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}`))
	if want := (llm.Usage{In: 65, Out: 9, Cached: 40, Written: 20}); err != nil || response.Usage != want {
		t.Errorf("usage %+v, %v; expected %+v", response.Usage, err, want)
	}
}

func TestErrorEventsAreClassed(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]llm.Class{
		"rate_limit_error": llm.RateLimit, "api_error": llm.Overload, "invalid_request_error": llm.BadRequest,
		"authentication_error": llm.Auth, "something_new": llm.Unknown,
	} {
		_, err := complete(t, protocol.Begin, "event: error\ndata: "+document(kind, "so be it")+"\n\n")
		if llm.ClassOf(err) != want {
			t.Errorf("%s: %v, expected class %s", kind, err, want)
		}
	}
}

func FuzzFaults(f *testing.F) {
	f.Add(429, []byte(document("rate_limit_error", "slow down")))
	f.Add(0, []byte(`{"error":7}`))
	f.Add(500, []byte("<html>\x00\xff"))
	f.Fuzz(func(t *testing.T, status int, document []byte) {
		if fault := readFault(status, document); fault.Class == "" {
			t.Errorf("%+v has no class", fault)
		}
	})
}
