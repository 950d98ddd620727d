package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/workflow"
)

// inStep returns the context of a step's body and the attempt that it reports to.
func inStep(t *testing.T) (context.Context, *workflow.Attempt) {
	t.Helper()
	attempt := &workflow.Attempt{Run: workflow.NewRunID(), Step: "agent", Turn: 17, Name: "agent[17]", Number: 1}
	return workflow.NewContext(t.Context(), attempt), attempt
}

func TestAttemptCollectsReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, attempt := inStep(t)
		workflow.Record(ctx, "call", map[string]int{"tokens": 3})
		workflow.Record(ctx, "call", nil)
		workflow.Send(ctx, workflow.Message{Agent: "critic", ID: "1", Type: "review", Payload: json.RawMessage(`{}`)})
		workflow.Summarize(ctx, workflow.Summary{Model: "small", Tokens: 3})

		report, err := attempt.Report()
		want := workflow.Report{
			Facts: []workflow.Fact{
				{Kind: "call", Doc: json.RawMessage(`{"tokens":3}`), At: time.Now()},
				{Kind: "call", Doc: json.RawMessage(`null`), At: time.Now()},
			},
			Messages: []workflow.Message{{Agent: "critic", ID: "1", Type: "review", Payload: json.RawMessage(`{}`)}},
			Summary:  &workflow.Summary{Model: "small", Tokens: 3},
		}
		if err != nil || !reflect.DeepEqual(report, want) {
			t.Errorf("report is\n%+v, %v; want\n%+v", report, err, want)
		}
	})
}

func TestFactsMayWaitForTheEndOfTheAttempt(t *testing.T) {
	t.Parallel()
	for _, ended := range []error{nil, errors.New("no ink")} {
		ctx, attempt := inStep(t)
		workflow.RecordAtEnd(ctx, "late", func(err error) any { return map[string]bool{"failed": err != nil} })
		workflow.Record(ctx, "early", 1)
		if report, err := attempt.Report(); err != nil || len(report.Facts) != 1 {
			t.Errorf("before the end: facts %+v, %v; want the early one", report.Facts, err)
		}
		attempt.End(ended)
		attempt.End(errors.New("again"))
		report, err := attempt.Report()
		if err != nil || len(report.Facts) != 2 || report.Facts[1].Kind != "late" || string(report.Facts[1].Doc) != fmt.Sprintf(`{"failed":%t}`, ended != nil) {
			t.Errorf("ended with %v: facts %+v, %v", ended, report.Facts, err)
		}
		if early, late := report.Facts[0].At, report.Facts[1].At; late.After(early) {
			t.Errorf("the late fact is of %s, want when it was reported, before %s", late, early)
		}
	}
	ctx, attempt := inStep(t)
	workflow.RecordAtEnd(ctx, "late", func(error) any { return make(chan int) })
	attempt.End(nil)
	if _, err := attempt.Report(); !workflow.IsPermanent(err) {
		t.Errorf("a document that cannot be encoded: %v, want a permanent error", err)
	}
}

func TestReportsOutsideAStepGoNowhere(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	workflow.Record(ctx, "call", make(chan int))
	workflow.Send(ctx, workflow.Message{Agent: "critic"})
	workflow.Summarize(ctx, workflow.Summary{Tokens: 1})
	workflow.Progress(ctx, 1)
	if key := workflow.Key(ctx); key != "" {
		t.Errorf("the key outside a step is %q; a service would take every call for a repetition", key)
	}
	report, err := workflow.FromContext(ctx).Report()
	if err != nil || !reflect.DeepEqual(report, workflow.Report{}) {
		t.Errorf("report outside a step is %+v, %v", report, err)
	}
}

func TestKeyIsOfTheRunStepAndTurn(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	want := attempt.Run.String() + "/agent[17]"
	if key := workflow.Key(ctx); key != want {
		t.Errorf("key is %q, want %q", key, want)
	}
	again := &workflow.Attempt{Run: attempt.Run, Step: attempt.Step, Turn: 17, Name: attempt.Name, Number: 2, Epoch: 5}
	if key := workflow.Key(workflow.NewContext(t.Context(), again)); key != want {
		t.Errorf("key of a later attempt at another owner is %q, want %q", key, want)
	}
}

func TestReportsKeepWhatTheBodyGaveThem(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	doc := map[string]string{"a": "before"}
	payload, insights := json.RawMessage(`"before"`), json.RawMessage(`"before"`)
	cost, patterns := 1.5, []string{"before"}
	workflow.Record(ctx, "call", doc)
	workflow.Send(ctx, workflow.Message{Agent: "critic", ID: "1", Payload: payload})
	workflow.Summarize(ctx, workflow.Summary{CostCents: &cost, Patterns: patterns, Insights: insights, Input: payload, Result: payload})

	doc["a"], cost, patterns[0] = "after", 2.5, "after"
	copy(payload, `"after!"`)
	copy(insights, `"after!"`)

	report, err := attempt.Report()
	kept, encodeErr := json.Marshal(report)
	if err := errors.Join(err, encodeErr); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), "after") || *report.Summary.CostCents != 1.5 {
		t.Errorf("the report changed with the body's own data: %s", kept)
	}
}

func TestReportsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	var progress sync.Map
	attempt.OnProgress = func(doc json.RawMessage) { progress.Store(string(doc), true) }
	const goroutines = 50
	var running sync.WaitGroup
	for i := range goroutines {
		running.Go(func() {
			workflow.Record(ctx, "call", i)
			workflow.Send(ctx, workflow.Message{Agent: "critic"})
			workflow.Summarize(ctx, workflow.Summary{Tokens: int64(i + 1)})
			workflow.Progress(ctx, i)
			_, _ = attempt.Report()
		})
	}
	running.Wait()

	report, err := attempt.Report()
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]bool{}
	for _, fact := range report.Facts {
		docs[string(fact.Doc)] = true
	}
	ids := map[string]bool{}
	for _, message := range report.Messages {
		ids[message.ID] = true
	}
	if len(docs) != goroutines || len(ids) != goroutines || report.Summary.Tokens == 0 {
		t.Errorf("of %d: %d facts, %d messages, summary %+v", goroutines, len(docs), len(ids), report.Summary)
	}
	for i := range goroutines {
		if _, heard := progress.Load(fmt.Sprint(i)); !heard {
			t.Errorf("progress %d was not heard", i)
		}
	}
}

func TestFirstReportErrorIsKept(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	workflow.Record(ctx, "good", 1)
	workflow.Record(ctx, "channel", make(chan int))
	workflow.Send(ctx, workflow.Message{Agent: "critic", Payload: json.RawMessage(`{`)})
	workflow.Record(ctx, "late", 2)

	report, err := attempt.Report()
	if err == nil || !strings.Contains(err.Error(), "record of kind channel cannot be encoded") || !workflow.IsPermanent(err) {
		t.Errorf("error is %v, want the permanent one of the record of kind channel", err)
	}
	if len(report.Facts) != 1 || report.Facts[0].Kind != "good" || len(report.Messages) > 0 {
		t.Errorf("report is %+v, want what came before the error", report)
	}
}

func TestMessageThatIsNotJSONFailsTheReport(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	workflow.Send(ctx, workflow.Message{Agent: "critic", Payload: json.RawMessage(`{`)})
	if _, err := attempt.Report(); err == nil || !strings.Contains(err.Error(), "message to critic") {
		t.Errorf("error is %v, want it to name the message", err)
	}
}

func TestMessagesWithoutIDGetDifferentOnes(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	workflow.Send(ctx, workflow.Message{Agent: "critic"})
	workflow.Send(ctx, workflow.Message{Agent: "critic"})
	report, err := attempt.Report()
	if err != nil {
		t.Fatal(err)
	}
	key := workflow.Key(ctx)
	if got, want := []string{report.Messages[0].ID, report.Messages[1].ID}, []string{key + "#0", key + "#1"}; !slices.Equal(got, want) {
		t.Errorf("message ids are %q, want %q", got, want)
	}
}

func TestReportLimit(t *testing.T) {
	t.Parallel()
	fill := strings.Repeat("a", workflow.MaxReport-2) // and its quotes
	full := func(t *testing.T) (context.Context, *workflow.Attempt) {
		ctx, attempt := inStep(t)
		workflow.Record(ctx, "fill", fill)
		return ctx, attempt
	}
	t.Run("at", func(t *testing.T) {
		t.Parallel()
		_, attempt := full(t)
		if report, err := attempt.Report(); err != nil || len(report.Facts) != 1 {
			t.Errorf("%d facts, %v", len(report.Facts), err)
		}
	})
	beyond := map[string]func(context.Context){
		"a fact":    func(ctx context.Context) { workflow.Record(ctx, "more", 1) },
		"a message": func(ctx context.Context) { workflow.Send(ctx, workflow.Message{Agent: "critic"}) },
		"a summary": func(ctx context.Context) { workflow.Summarize(ctx, workflow.Summary{}) },
	}
	for name, report := range beyond {
		t.Run("beyond by "+name, func(t *testing.T) {
			t.Parallel()
			ctx, attempt := full(t)
			report(ctx)
			_, err := attempt.Report()
			limit := (*workflow.LimitError)(nil)
			if !errors.As(err, &limit) || limit.Limit != workflow.MaxReport || limit.Size <= limit.Limit || !workflow.IsPermanent(err) {
				t.Errorf("error is %v, want a permanent LimitError", err)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	ctx, attempt := inStep(t)
	workflow.Progress(ctx, "nobody listens")
	var heard []string
	attempt.OnProgress = func(doc json.RawMessage) { heard = append(heard, string(doc)) }
	workflow.Progress(ctx, map[string]int{"done": 3})
	workflow.Progress(ctx, make(chan int)) // not worth failing for
	if want := []string{`{"done":3}`}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
	if report, err := attempt.Report(); err != nil || !reflect.DeepEqual(report, workflow.Report{}) {
		t.Errorf("progress is reported: %+v, %v", report, err)
	}
}

func TestSummaryMergesByField(t *testing.T) {
	t.Parallel()
	full := workflow.Summary{
		Model: "small", Tokens: 1, CostCents: new(1.5), Patterns: []string{"a"}, Insights: json.RawMessage(`1`),
		Input: json.RawMessage(`2`), Result: json.RawMessage(`3`), ErrorClass: "timeout",
	}
	with := func(change func(*workflow.Summary)) workflow.Summary {
		changed := full
		change(&changed)
		return changed
	}
	tests := []struct {
		name  string
		later workflow.Summary
		want  workflow.Summary
	}{
		{"nothing", workflow.Summary{}, full},
		{"model", workflow.Summary{Model: "large"}, with(func(s *workflow.Summary) { s.Model = "large" })},
		{"tokens", workflow.Summary{Tokens: 2}, with(func(s *workflow.Summary) { s.Tokens = 2 })},
		{"cost, down to nothing", workflow.Summary{CostCents: new(0.0)}, with(func(s *workflow.Summary) { s.CostCents = new(0.0) })},
		{"patterns, down to none", workflow.Summary{Patterns: []string{}}, with(func(s *workflow.Summary) { s.Patterns = []string{} })},
		{"insights", workflow.Summary{Insights: json.RawMessage(`9`)}, with(func(s *workflow.Summary) { s.Insights = json.RawMessage(`9`) })},
		{"input", workflow.Summary{Input: json.RawMessage(`9`)}, with(func(s *workflow.Summary) { s.Input = json.RawMessage(`9`) })},
		{"result", workflow.Summary{Result: json.RawMessage(`9`)}, with(func(s *workflow.Summary) { s.Result = json.RawMessage(`9`) })},
		{"error class", workflow.Summary{ErrorClass: "refused"}, with(func(s *workflow.Summary) { s.ErrorClass = "refused" })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := full.Merge(test.later); !reflect.DeepEqual(got, test.want) {
				t.Errorf("merged into %+v, want %+v", got, test.want)
			}
			ctx, attempt := inStep(t)
			workflow.Summarize(ctx, full)
			workflow.Summarize(ctx, test.later)
			if report, err := attempt.Report(); err != nil || !reflect.DeepEqual(*report.Summary, test.want) {
				t.Errorf("summarized as %+v, %v; want %+v", report.Summary, err, test.want)
			}
		})
	}
	var none *workflow.Summary
	if got := none.Merge(full); !reflect.DeepEqual(got, full) {
		t.Errorf("merged into no summary: %+v, want %+v", got, full)
	}
}
