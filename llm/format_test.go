package llm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"singularity/centralcloud"
	"singularity/workflow"
)

// speaker is a provider that says what its test wants it to.
func speaker(say func(Request) Response) fakeProvider {
	return fakeProvider{"fake", func(_ context.Context, req Request) (Response, error) { return say(req), nil }}
}

func TestAnswerThatIsNotInItsFormatIsUnparsable(t *testing.T) {
	t.Parallel()
	for text, fails := range map[string]string{
		`{"sum": 42}`:      "",
		" [1, 2]\n":        "",
		`"42"`:             "",
		"":                 "not JSON",
		"The sum is 42.":   "not JSON",
		"```json\n{}\n```": "not JSON",
		`{} {}`:            "not JSON",
		`{"sum": 4`:        "cut off by the limit of its length",
	} {
		router, _ := setup(t, speaker(func(Request) Response {
			return Response{Text: text, Finish: map[bool]Finish{true: CutShort, false: Stopped}[text == `{"sum": 4`], Usage: Usage{In: 10, Out: 5}}
		}))
		ctx, attempt := newAttempt(t, 1)
		call := newCall()
		call.Format = JSONFormat
		err := errors.Join(router.Select(ctx, call), router.Call(ctx, call))
		attempt.End(err)
		record, summary := reported(t, attempt)
		if fails == "" {
			if err != nil || record.ErrorClass != "" || call.Response.Text != text {
				t.Errorf("%q: %v, recorded %+v", text, err, record)
			}
			continue
		}
		if ClassOf(err) != Unparsable || workflow.IsPermanent(err) || !strings.Contains(err.Error(), fails) || len(call.Messages) == 0 {
			t.Errorf("%q: %v, want one that says %q and is worth another attempt", text, err, fails)
		}
		if record.ErrorClass != centralcloud.Unparsable || record.ErrorPrint == "" || summary.ErrorClass != centralcloud.Unparsable || record.Cost == nil {
			t.Errorf("%q: recorded %+v, summary %+v", text, record, summary)
		}
	}
}

func TestUnparsableAnswersGoDownTheFallbackOrder(t *testing.T) {
	t.Parallel()
	provider := speaker(func(req Request) Response {
		text := "no idea"
		if req.Model == "at-1" {
			text = "{}"
		}
		return Response{Text: text, Model: req.Model, Finish: Stopped, Usage: Usage{In: 2, Out: 1}}
	})
	r := newRoutedTo(t, provider.complete, inOrder("fake/at-2", "fake/at-1"))
	call := r.selected(t)
	call.Format = JSONFormat
	records, err := r.attempts(t, call)
	if err != nil || len(records) != 2 || records[0].ErrorClass != centralcloud.Unparsable || records[1].Model != "at-1" || !records[1].Fallback {
		t.Fatalf("records %+v, %v; want an answer of the second model", records, err)
	}
	if call.AnsweredBy().Model != "at-1" || call.Response.Text != "{}" {
		t.Errorf("answered by %s: %q", call.AnsweredBy(), call.Response.Text)
	}
	if !r.targets[arms("fake/at-2")[0]].breaker.ready() {
		t.Error("the breaker of the model is open, which did answer")
	}
}

func TestAttemptAfterAnUnparsableAnswerIsAnotherRequest(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	router, _ := setup(t, speaker(func(req Request) Response {
		seen[req.Key]++
		return Response{Text: "no", Usage: Usage{In: 2, Out: 1}}
	}))
	for _, format := range Formats {
		call := newCall()
		call.Format = format
		for number := 1; number <= 3; number++ {
			ctx, _ := newAttempt(t, number)
			if err := router.Select(ctx, call); err != nil {
				t.Fatal(err)
			}
			again := *call
			_ = router.Call(ctx, &again)
		}
	}
	ctx, _ := newAttempt(t, 1)
	key := workflow.Key(ctx)
	if want := fmt.Sprint(map[string]int{key: 4, key + "#2": 1, key + "#3": 1}); fmt.Sprint(seen) != want {
		t.Errorf("keys %v, want %s", seen, want)
	}
}

func TestStepJudgesTheAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end      func(*Call) error
		class    string
		unjudged bool
	}{
		"takes it":           {func(*Call) error { return nil }, "", false},
		"fails by itself":    {func(*Call) error { return errors.New("no disk") }, "", true},
		"rejects it":         {func(c *Call) error { return c.Reject(errors.New("no sum in it")) }, "unparsable", false},
		"rejects it plainly": {func(c *Call) error { return c.Reject(nil) }, "unparsable", false},
		"rejects it and goes on": {func(c *Call) error {
			_ = c.Reject(errors.New("no sum in it"))
			return nil
		}, "unparsable", false},
	} {
		router, _ := setup(t, speaker(func(Request) Response { return Response{Text: "42", Usage: Usage{In: 10, Out: 5}} }))
		ctx, attempt := newAttempt(t, 1)
		call := newCall()
		if err := errors.Join(router.Select(ctx, call), router.Call(ctx, call)); err != nil {
			t.Fatal(err)
		}
		err := test.end(call)
		attempt.End(err)
		record, _ := reported(t, attempt)
		if record.ErrorClass != test.class || record.Unjudged != test.unjudged || (record.ErrorPrint != "") != (test.class != "") {
			t.Errorf("%s: recorded %+v", name, record)
		}
		if test.class != "" && err != nil && (ClassOf(err) != Unparsable || workflow.IsPermanent(err)) {
			t.Errorf("%s: %v, want an error of class unparsable that is worth another attempt", name, err)
		}
	}
}

func TestRejectionInALaterStepIsAnErrorOnly(t *testing.T) {
	t.Parallel()
	call := &Call{Choice: Choice{Provider: "fake", Model: "priced"}}
	if err := call.Reject(errors.New("no sum in it")); ClassOf(err) != Unparsable || !strings.Contains(err.Error(), "call model priced: fake: unparsable: no sum in it") {
		t.Errorf("error %v", err)
	}
}
