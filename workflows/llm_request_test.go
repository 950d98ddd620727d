package workflows

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/centralcloud"
	"singularity/llm"
	"singularity/llm/anthropic"
	"singularity/llm/gemini"
	"singularity/llm/openai"
	"singularity/llm/simulated"
	"singularity/llm/wire"
	"singularity/workflow"
)

const goodRequest = `{"request_id": "r-1", "task_type": "classifier", "messages": [{"role": "user", "content": "Is this a question?"}]}`

// newRouter returns a router over one provider and the built-in models.
func newRouter(t *testing.T, provider llm.Provider, log io.Writer) *llm.Router {
	t.Helper()
	router, err := llm.NewRouter(llm.DefaultTable(), []llm.Provider{provider}, llm.RouterConfig{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func newSimulated(t *testing.T, config simulated.Config) *simulated.Provider {
	t.Helper()
	provider, err := simulated.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// failing is a provider whose first attempts fail.
type failing struct {
	llm.Provider
	errs []error
}

func (p *failing) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if req.Attempt <= len(p.errs) {
		return llm.Response{}, p.errs[req.Attempt-1]
	}
	return p.Provider.Complete(ctx, req)
}

func ExampleLLMRequest() {
	provider, err := simulated.New(simulated.Config{})
	if err != nil {
		panic(err)
	}
	router, err := llm.NewRouter(llm.DefaultTable(), []llm.Provider{provider}, llm.RouterConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	end, err := run(context.Background(), LLMRequest(router), `{
		"request_id": "r-1",
		"task_type": "classifier",
		"messages": [{"role": "user", "content": "Is this a question?"}]
	}`)
	if err != nil {
		panic(err)
	}
	fmt.Println(end.Output)
	// Output: {"request_id":"r-1","response":"[simulated] praise","model":"simulated-small","provider":"simulated","tokens_used":14,"cost_cents":0.00029}
}

func TestLLMRequestHoldsTheAnswerToItsFormat(t *testing.T) {
	t.Parallel()
	definition := LLMRequest(newRouter(t, newSimulated(t, simulated.Config{}), io.Discard))
	end, err := run(t.Context(), definition, strings.Replace(goodRequest, "{", `{"format": "json", `, 1))
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := decode[map[string]any](t, end.Output)["response"].(string); !json.Valid([]byte(text)) || !strings.Contains(text, "[simulated]") {
		t.Errorf("response %s, expected JSON that says that it is simulated", text)
	}

	unparsable := &llm.Error{Class: llm.Unparsable, Provider: "simulated", Err: errors.New("not JSON")}
	end, err = run(t.Context(), LLMRequest(newRouter(t, &failing{newSimulated(t, simulated.Config{}), []error{unparsable}}, io.Discard)), goodRequest)
	if err != nil || len(end.Facts) != 2 {
		t.Fatalf("%d records, %v; expected an attempt that failed, and one that did not", len(end.Facts), err)
	}
	if first := decode[centralcloud.Call](t, string(end.Facts[0].Doc)); first.ErrorClass != centralcloud.Unparsable {
		t.Errorf("recorded %+v", first)
	}
	if _, err := workflow.Compile(definition).Admit([]byte(strings.Replace(goodRequest, "{", `{"format": "yaml", `, 1))); err == nil || !strings.Contains(err.Error(), `field "format" is "yaml"; expected one of ["" "json"]`) {
		t.Errorf("format yaml: %v", err)
	}
}

func TestLLMRequestKeepsItsContract(t *testing.T) {
	t.Parallel()
	definition := LLMRequest(newRouter(t, newSimulated(t, simulated.Config{}), io.Discard))
	if got, want := stepNames(definition), "receive_request select_model call_llm_provider publish_result"; got != want {
		t.Errorf("steps %s, expected %s", got, want)
	}
	call := workflow.Compile(definition).Steps[2]
	if call.Timeout != 10*time.Minute || call.Retry.Attempts != 5 {
		t.Errorf("the call has the timeout %s and %d attempts, expected 10m and 5", call.Timeout, call.Retry.Attempts)
	}
	admission, err := workflow.Compile(definition).Admit([]byte(goodRequest))
	if err != nil || admission.Key != "r-1" {
		t.Errorf("key %q, %v; expected the request_id", admission.Key, err)
	}

	end, err := run(t.Context(), definition, goodRequest)
	if err != nil {
		t.Fatal(err)
	}
	output := decode[map[string]any](t, end.Output)
	if output["request_id"] != "r-1" || output["model"] != "simulated-small" || output["provider"] != "simulated" {
		t.Errorf("output %s", end.Output)
	}
	tokens, _ := output["tokens_used"].(float64)
	cents, _ := output["cost_cents"].(float64)
	if tokens <= 0 || cents <= 0 || cents > 0.01 {
		t.Errorf("output %s, expected tokens and a part of a cent", end.Output)
	}
	if text, _ := output["response"].(string); !strings.HasPrefix(text, "[simulated]") || len(output) != 6 {
		t.Errorf("output %s, expected an answer and nothing else", end.Output)
	}
	if state := end.States["select_model"]; !strings.Contains(state, `"provider":"simulated"`) || !strings.Contains(state, `"why":"static table: cheapest of tier small"`) {
		t.Errorf("state after select_model %s, expected the choice and why", state)
	}
	if len(end.Facts) != 1 || *end.Summary.CostCents != cents || end.Summary.Tokens != int64(tokens) || end.Summary.Model != "simulated-small" {
		t.Errorf("%d records, summary %+v", len(end.Facts), end.Summary)
	}
}

func TestLLMRequestSummaryQuotesNothing(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	definition := LLMRequest(newRouter(t, newSimulated(t, simulated.Config{}), &logged))
	end, err := run(t.Context(), definition, strings.Replace(goodRequest, "Is this a question?", "my-private-text", 1))
	if err != nil {
		t.Fatal(err)
	}
	summary, _ := json.Marshal(end.Summary)
	if !strings.Contains(string(summary), `"characters":15`) {
		t.Errorf("summary %s, expected the length of the input", summary)
	}
	for _, fact := range end.Facts {
		summary = append(summary, fact.Doc...)
	}
	if everything := string(summary) + logged.String(); strings.Contains(everything, "my-private") || strings.Contains(everything, "[simulated]") {
		t.Errorf("records, summary or log quote a text: %s", everything)
	}
}

func TestLLMRequestRefusesBadInput(t *testing.T) {
	t.Parallel()
	message := `[{"role": "user", "content": "hello"}]`
	large := `[{"role": "user", "content": "` + strings.Repeat("<", 200_000) + `"}]` // 6 bytes each, as JSON has them
	refusals(t, LLMRequest(newRouter(t, newSimulated(t, simulated.Config{}), io.Discard)), map[string]struct{ input, field, reason string }{
		"nothing":          {``, "", "is empty"},
		"no JSON":          {`{`, "", "not JSON"},
		"unknown field":    {`{"request_id": "r", "task_type": "t", "messages": ` + message + `, "temperature": 1}`, "temperature", "is not a field"},
		"wrong type":       {`{"request_id": 7, "task_type": "t", "messages": ` + message + `}`, "request_id", "must be a string"},
		"no request_id":    {`{"task_type": "t", "messages": ` + message + `}`, "request_id", "is missing"},
		"long request_id":  {`{"request_id": "` + strings.Repeat("r", 513) + `", "task_type": "t", "messages": ` + message + `}`, "request_id", "at most 512"},
		"NUL":              {`{"request_id": "a\u0000b", "task_type": "t", "messages": ` + message + `}`, "request_id", "control characters"},
		"spaces":           {`{"request_id": " r", "task_type": "t", "messages": ` + message + `}`, "request_id", "space"},
		"no task_type":     {`{"request_id": "r", "messages": ` + message + `}`, "task_type", "is missing"},
		"long task_type":   {`{"request_id": "r", "task_type": "` + strings.Repeat("t", 129) + `", "messages": ` + message + `}`, "task_type", "at most 128"},
		"no messages":      {`{"request_id": "r", "task_type": "t"}`, "messages", "at least one"},
		"unknown role":     {`{"request_id": "r", "task_type": "t", "messages": [{"role": "user", "content": "a"}, {"role": "king", "content": "b"}]}`, "messages[1].role", `is "king"; expected one of ["system" "developer" "user" "assistant"]`},
		"no content":       {`{"request_id": "r", "task_type": "t", "messages": [{"role": "user", "content": " "}]}`, "messages[0].content", "is empty"},
		"large messages":   {`{"request_id": "r", "task_type": "t", "messages": ` + large + `}`, "messages", "expected at most"},
		"several mistakes": {`{"task_type": "", "messages": []}`, "request_id", `field "task_type" is missing`},
	})
}

func TestLLMRequestRetriesWithTheSameChoice(t *testing.T) {
	t.Parallel()
	provider := &failing{newSimulated(t, simulated.Config{}), []error{
		&llm.Error{Class: llm.RateLimit, Provider: "simulated", RetryAfter: 7 * time.Second, Err: errors.New("slow down")},
		&llm.Error{Class: llm.Overload, Provider: "simulated", Err: errors.New("busy")},
	}}
	end, err := run(t.Context(), LLMRequest(newRouter(t, provider, io.Discard)), goodRequest)
	if err != nil {
		t.Fatal(err)
	}
	var classes []llm.Class
	for _, fact := range end.Facts {
		record := decode[centralcloud.Call](t, string(fact.Doc))
		classes = append(classes, llm.Class(record.ErrorClass))
		if record.Model != "simulated-small" || record.PolicyVersion != "static" {
			t.Errorf("recorded %s", fact.Doc)
		}
	}
	if want := []llm.Class{llm.RateLimit, llm.Overload, ""}; !reflect.DeepEqual(classes, want) {
		t.Errorf("recorded %q, expected %q", classes, want)
	}
	if len(end.Waits) != 2 || end.Waits[0] != 7*time.Second || end.Waits[1] < 11*time.Second || end.Waits[1] > 12*time.Second {
		t.Errorf("waits %s, expected 7s as asked for, then 10s with jitter", end.Waits)
	}
}

func TestLLMRequestSaysWhoStoodIn(t *testing.T) {
	t.Parallel()
	small, medium := centralcloud.Arm{Provider: "simulated", Model: "simulated-small"}, centralcloud.Arm{Provider: "simulated", Model: "simulated-medium"}
	policy := &centralcloud.Policy{Version: 7, Rows: []centralcloud.PolicyRow{{
		TaskType: centralcloud.AnyTask, Bucket: centralcloud.AnyBucket,
		Arms: []centralcloud.PolicyArm{{Arm: medium, Weight: 1, Why: "the best"}}, Fallback: []centralcloud.Arm{medium, small},
	}}}
	provider := &failing{newSimulated(t, simulated.Config{}), []error{&llm.Error{Class: llm.Overload, Provider: "simulated"}}}
	router, err := llm.NewRouter(llm.DefaultTable(), []llm.Provider{provider}, llm.RouterConfig{
		Logger: slog.New(slog.DiscardHandler), Policy: func() *centralcloud.Policy { return policy },
	})
	if err != nil {
		t.Fatal(err)
	}
	end, err := run(t.Context(), LLMRequest(router), goodRequest)
	if err != nil || !strings.Contains(end.Output, `"model":"simulated-small"`) || end.Summary.Model != "simulated-small" {
		t.Errorf("output %s, %v; summary %+v; expected the model that answered", end.Output, err, end.Summary)
	}
	const choice = `"choice":{"provider":"simulated","model":"simulated-medium","tier":"medium","complexity_bucket":0,"why":"the best","policy_version":"7","propensity":1,"fallback":`
	for _, step := range []string{"select_model", "call_llm_provider", "publish_result"} {
		if !strings.Contains(end.States[step], choice) {
			t.Errorf("state after %s %s, expected the choice to stay", step, end.States[step])
		}
	}
	if last := string(end.Facts[1].Doc); !strings.Contains(last, `"model":"simulated-small"`) || !strings.Contains(last, `"propensity":1,"fallback":true`) {
		t.Errorf("recorded %s", last)
	}
}

func TestLLMRequestGivesUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		class    llm.Class
		attempts int
	}{
		"at once when nothing helps": {llm.BadRequest, 1},
		"after five attempts":        {llm.Overload, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := newSimulated(t, simulated.Config{FailureRate: 1, Failures: []llm.Class{test.class}})
			end, err := run(t.Context(), LLMRequest(newRouter(t, provider, io.Discard)), goodRequest)
			var failure *workflow.StepError
			if !errors.As(err, &failure) || failure.Step != "call_llm_provider" || failure.Attempt != test.attempts {
				t.Errorf("%v, expected attempt %d of call_llm_provider to fail", err, test.attempts)
			}
			if len(end.Facts) != test.attempts || end.Summary.ErrorClass != string(test.class) || end.Summary.Input == nil {
				t.Errorf("%d records, summary %+v", len(end.Facts), end.Summary)
			}
		})
	}
}

func TestLLMRequestEndsAtItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		provider := newSimulated(t, simulated.Config{Latency: time.Hour})
		started := time.Now()
		_, err := run(t.Context(), LLMRequest(newRouter(t, provider, io.Discard)), goodRequest)
		if elapsed := time.Since(started); llm.ClassOf(err) != llm.Timeout || elapsed != 50*time.Minute {
			t.Errorf("%v after %s, expected five timeouts of 10m", err, elapsed)
		}
	})
}

func TestLLMRequestWithoutUsageSaysNull(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"42"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	defer server.Close()
	provider, err := openai.New(server.URL, "", wire.Config{})
	if err != nil {
		t.Fatal(err)
	}
	end, err := run(t.Context(), LLMRequest(newRouter(t, provider, io.Discard)), goodRequest)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"request_id":"r-1","response":"42","model":"gpt-5-nano","provider":"openai","tokens_used":null,"cost_cents":null}`
	if end.Output != want {
		t.Errorf("output %s, expected %s", end.Output, want)
	}
}

// panicking is a provider that breaks at an error, and says all that it knows.
type panicking struct{ llm.Provider }

func (p panicking) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	_, err := p.Provider.Complete(ctx, req)
	panic(fmt.Sprintf("%+v %#v: %+v %#v", p.Provider, p.Provider, err, err))
}

// The key is planted in every answer of the server, and looked for in all that
// a run leaves.
func TestLLMRequestLeavesNoKeyBehind(t *testing.T) {
	t.Parallel()
	const key = "sk-canary-77aa1c0e42"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key")
		http.Error(w, `{"error": {"message": "refused: `+given+`"}}`, http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	for name, create := range map[string]func() (llm.Provider, error){
		"anthropic": func() (llm.Provider, error) { return anthropic.New(server.URL, key, wire.Config{}) },
		"gemini":    func() (llm.Provider, error) { return gemini.New(server.URL, key, wire.Config{}) },
		"openai":    func() (llm.Provider, error) { return openai.New(server.URL, key, wire.Config{}) },
	} {
		provider, err := create()
		if err != nil {
			t.Fatal(err)
		}
		for how, provider := range map[string]llm.Provider{"fails": provider, "panics": panicking{provider}} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				var logged bytes.Buffer
				end, err := run(t.Context(), LLMRequest(newRouter(t, provider, &logged)), goodRequest)
				if err == nil || !strings.Contains(err.Error(), "[key]") {
					t.Errorf("%v, expected the server's words without the key", err)
				}
				stack := ""
				if broken, ok := errors.AsType[*workflow.PanicError](err); ok {
					stack = broken.Stack
				}
				if (stack != "") != (how == "panics") {
					t.Errorf("%v with the stack %q", err, stack)
				}
				everything, _ := json.Marshal(end)
				if shown := string(everything) + logged.String() + fmt.Sprintf("%v %+v", err, err) + stack; strings.Contains(shown, key) {
					t.Errorf("the key shows in %s", shown)
				}
			})
		}
	}
}
