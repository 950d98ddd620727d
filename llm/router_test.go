package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// fakeProvider answers by a function.
type fakeProvider struct {
	name     string
	complete func(context.Context, Request) (Response, error)
}

func (p fakeProvider) Name() string { return p.name }

func (p fakeProvider) Complete(ctx context.Context, req Request) (Response, error) {
	return p.complete(ctx, req)
}

func testTable(t *testing.T) *Table {
	t.Helper()
	table, err := ParseTable([]byte(`{"date": "2025-09-30", "models": [
		{"provider": "fake", "model": "priced", "tier": "medium", "usd_per_mtok_in": 0.1, "usd_per_mtok_out": 0.4},
		{"provider": "free", "model": "unpriced", "tier": "medium"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// setup returns a router over one provider, and what it logs.
func setup(t *testing.T, provider Provider) (*Router, *bytes.Buffer) {
	t.Helper()
	logged := new(bytes.Buffer)
	router, err := NewRouter(testTable(t), []Provider{provider}, RouterConfig{Logger: slog.New(slog.NewTextHandler(logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return router, logged
}

// newAttempt returns a context for one attempt of a step, and the attempt.
func newAttempt(t *testing.T, number int) (context.Context, *workflow.Attempt) {
	t.Helper()
	attempt := &workflow.Attempt{Run: workflow.RunID{1}, Step: "call_llm_provider", Name: "call_llm_provider", Number: number}
	return workflow.NewContext(t.Context(), attempt), attempt
}

// reported returns the only record and the summary of an attempt.
func reported(t *testing.T, attempt *workflow.Attempt) (centralcloud.Call, workflow.Summary) {
	t.Helper()
	attempt.End(nil)
	report, err := attempt.Report()
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Facts) != 1 || report.Facts[0].Kind != CallKind {
		t.Fatalf("records %+v, expected one of kind %s", report.Facts, CallKind)
	}
	var record centralcloud.Call
	if err := json.Unmarshal(report.Facts[0].Doc, &record); err != nil {
		t.Fatal(err)
	}
	return record, *report.Summary
}

func newCall() *Call {
	return &Call{RequestID: "r1", TaskType: "coder", Messages: []Message{{Role: User, Content: "hello"}}}
}

func TestCallIsPricedAndRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked Request
		router, logged := setup(t, fakeProvider{"fake", func(_ context.Context, req Request) (Response, error) {
			asked = req
			time.Sleep(1500 * time.Millisecond) // of the bubble's clock
			req.OnText("4")
			return Response{Text: "42", Model: "priced-0930", Finish: Stopped, Usage: Usage{In: 10, Out: 5}}, nil
		}})
		ctx, attempt := newAttempt(t, 3)
		var progress []string
		attempt.OnProgress = func(doc json.RawMessage) { progress = append(progress, string(doc)) }

		call := newCall()
		if err := errors.Join(router.Select(ctx, call), router.Call(ctx, call)); err != nil {
			t.Fatal(err)
		}

		wantCall := &Call{
			RequestID: "r1", TaskType: "coder",
			Choice: Choice{
				Provider: "fake", Model: "priced", Tier: Medium, Bucket: 1, Why: "static table: cheapest of tier medium",
				PolicyVersion: "static", Propensity: 1,
			},
			Response: Response{Text: "42", Model: "priced-0930", Finish: Stopped, Usage: Usage{In: 10, Out: 5}},
			Cost:     new(NanoDollars(3_000)),
		}
		call.record = nil
		if !reflect.DeepEqual(call, wantCall) {
			t.Errorf("state %+v, expected %+v", call, wantCall)
		}
		asked.OnText = nil
		wantAsked := Request{Model: "priced", TaskType: "coder", Messages: newCall().Messages, Key: workflow.Key(ctx), Attempt: 3}
		if !reflect.DeepEqual(asked, wantAsked) {
			t.Errorf("asked %+v, expected %+v", asked, wantAsked)
		}
		record, summary := reported(t, attempt)
		wantRecord := centralcloud.Call{
			Step: "call_llm_provider", Attempt: 3,
			Arm: centralcloud.Arm{Provider: "fake", Model: "priced"}, TaskType: "coder", Bucket: 1,
			TokensIn: new(int64(10)), TokensOut: new(int64(5)), TokensCached: new(int64(0)), Cost: new(int64(3_000)),
			Latency: 1_500_000, Finish: string(Stopped), PolicyVersion: "static", Propensity: 1,
			InputDigest: digestOfMessages(newCall().Messages), AnswerDigest: digestOf("42"),
		}
		if !reflect.DeepEqual(record, wantRecord) {
			t.Errorf("recorded %+v, expected %+v", record, wantRecord)
		}
		wantSummary := workflow.Summary{Model: "priced", Tokens: 15, CostCents: new(0.0003)}
		if !reflect.DeepEqual(summary, wantSummary) {
			t.Errorf("summary %+v, expected %+v", summary, wantSummary)
		}
		if want := []string{`{"text":"4"}`}; !reflect.DeepEqual(progress, want) {
			t.Errorf("progress %s, expected %s", progress, want)
		}
		if !strings.Contains(logged.String(), "provider=fake model=priced") {
			t.Errorf("the log does not name provider and model: %s", logged)
		}
	})
}

func TestFailedCallIsRecordedAndDirected(t *testing.T) {
	t.Parallel()
	router, _ := setup(t, fakeProvider{"fake", func(context.Context, Request) (Response, error) {
		return Response{Usage: Usage{In: 10}}, &Error{Class: Content, Provider: "fake", Err: errors.New("refused")}
	}})
	ctx, attempt := newAttempt(t, 1)
	call := newCall()
	if err := router.Select(ctx, call); err != nil {
		t.Fatal(err)
	}
	err := router.Call(ctx, call)
	if !workflow.IsPermanent(err) || !strings.Contains(err.Error(), "call model priced: fake: content: refused") {
		t.Errorf("%v, expected a permanent error that names model, provider, class and reason", err)
	}
	record, summary := reported(t, attempt)
	if record.ErrorClass != string(Content) || summary.ErrorClass != "content" {
		t.Errorf("recorded class %q, summed up as %q", record.ErrorClass, summary.ErrorClass)
	}
	if want := centralcloud.Fingerprint("content", "fake: content: refused"); record.ErrorPrint != want {
		t.Errorf("recorded fingerprint %q, expected %q", record.ErrorPrint, want)
	}
	if record.Cost == nil || *record.Cost != 1_000 {
		t.Errorf("recorded cost %v, expected what the refusal cost", record.Cost)
	}
	if len(call.Messages) == 0 {
		t.Error("the messages are gone before they are answered")
	}
}

func TestUnknownCostIsNullAndWarnedOfOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		provider string
		usage    Usage
		warning  string
	}{
		"no price": {"free", Usage{In: 10, Out: 5}, "model has no price"},
		"no usage": {"fake", Usage{}, "provider does not report usage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			router, logged := setup(t, fakeProvider{test.provider, func(context.Context, Request) (Response, error) {
				return Response{Text: "42", Usage: test.usage}, nil
			}})
			for range 3 {
				ctx, attempt := newAttempt(t, 1)
				call := newCall()
				if err := errors.Join(router.Select(ctx, call), router.Call(ctx, call)); err != nil {
					t.Fatal(err)
				}
				if record, summary := reported(t, attempt); call.Cost != nil || record.Cost != nil || summary.CostCents != nil {
					t.Errorf("cost %v, recorded %v, summed up %v, expected none", call.Cost, record.Cost, summary.CostCents)
				}
			}
			if count := strings.Count(logged.String(), test.warning); count != 1 {
				t.Errorf("%d warnings, expected one:\n%s", count, logged)
			}
		})
	}
}

func TestCallOfAnUnconfiguredProviderMayGoElsewhere(t *testing.T) {
	t.Parallel()
	router, _ := setup(t, fakeProvider{name: "fake"})
	call := newCall()
	call.Choice = Choice{Provider: "elsewhere", Model: "m"}
	err := router.Call(t.Context(), call)
	if err == nil || workflow.IsPermanent(err) || !strings.Contains(err.Error(), `provider "elsewhere" is not configured on this node; configured: fake`) {
		t.Errorf("%v, expected a passing error that names both providers", err)
	}
}

func TestRouterNeedsProvidersWithModels(t *testing.T) {
	t.Parallel()
	fake, stranger := fakeProvider{name: "fake"}, fakeProvider{name: "stranger"}
	for want, providers := range map[string][]Provider{
		"no provider is configured":          nil,
		"fake is configured twice":           {fake, fake},
		"stranger has no model in the table": {fake, stranger},
	} {
		if _, err := NewRouter(testTable(t), providers, RouterConfig{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	if _, err := NewRouter(testTable(t), []Provider{fake}, RouterConfig{}); err != nil {
		t.Error(err)
	}
}

// fakeEmbedder answers by a function.
type fakeEmbedder func() (Embedding, error)

func (fakeEmbedder) Provider() string { return "fake" }
func (fakeEmbedder) Model() string    { return "vectors" }

func (e fakeEmbedder) Embed(context.Context, string) (Embedding, error) { return e() }

func TestEmbeddingIsRecorded(t *testing.T) {
	t.Parallel()
	ctx, succeeded := newAttempt(t, 1)
	vector, err := Embed(ctx, fakeEmbedder(func() (Embedding, error) {
		return Embedding{Vector: []float32{1, 0}, Usage: Usage{In: 3}}, nil
	}), "hello")
	if err != nil || !reflect.DeepEqual(vector, []float32{1, 0}) {
		t.Fatalf("%v, %v", vector, err)
	}
	if record, _ := reported(t, succeeded); record.Model != "vectors" || record.TaskType != "embedding" || *record.TokensIn != 3 || record.Cost != nil {
		t.Errorf("recorded %+v", record)
	}

	ctx, failed := newAttempt(t, 1)
	_, err = Embed(ctx, fakeEmbedder(func() (Embedding, error) {
		return Embedding{}, &Error{Class: Auth, Provider: "fake"}
	}), "hello")
	if !workflow.IsPermanent(err) {
		t.Errorf("%v, expected a permanent error", err)
	}
	if record, _ := reported(t, failed); record.ErrorClass != string(Auth) {
		t.Errorf("recorded %+v", record)
	}
}
