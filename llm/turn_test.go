package llm

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// flaky fails for some models, and notes whom it was asked for.
type flaky struct {
	mu    sync.Mutex
	asked []string
	class map[string]Class // by model
}

func (f *flaky) complete(_ context.Context, req Request) (Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, req.Model)
	if class := f.class[req.Model]; class != "" {
		return Response{}, &Error{Class: class, Provider: "fake", RetryAfter: time.Minute}
	}
	return Response{Text: "42", Model: req.Model, Finish: Stopped, Usage: Usage{In: 2, Out: 1}}, nil
}

// inOrder is a row that chooses the first of some arms and falls back to the others.
func inOrder(names ...string) centralcloud.PolicyRow {
	row := rowFor("coder", weigh(names[0], 1))
	row.Fallback = arms(names...)
	return row
}

// attempts calls until it is answered or nothing would help, as the engine does.
func (r *routed) attempts(t *testing.T, call *Call) (records []centralcloud.Call, err error) {
	t.Helper()
	for number := 1; number <= 5; number++ {
		ctx, attempt := newAttempt(t, number)
		err = r.Call(ctx, call)
		record, _ := reported(t, attempt)
		records = append(records, record)
		if err == nil || workflow.IsPermanent(err) {
			break
		}
	}
	return records, err
}

func (r *routed) selected(t *testing.T) *Call {
	t.Helper()
	call := newCall()
	if err := r.Select(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	return call
}

func TestAttemptsGoDownTheFallbackOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row   centralcloud.PolicyRow
		class map[string]Class
		asked string
		fails bool
	}{
		"the chosen answers":            {inOrder("other/at-3", "fake/at-2", "fake/at-1"), nil, "at-3", false},
		"the next answers":              {inOrder("other/at-3", "fake/at-2", "fake/at-1"), map[string]Class{"at-3": Overload}, "at-3 at-2", false},
		"the last answers":              {inOrder("other/at-3", "fake/at-2", "fake/at-1"), map[string]Class{"at-3": Timeout, "at-2": RateLimit}, "at-3 at-2 at-1", false},
		"nobody answers":                {inOrder("other/at-3", "fake/at-2"), map[string]Class{"at-3": Unknown, "at-2": Unknown}, "at-3 at-2 at-3 at-2 at-3", true},
		"nobody dearer is asked":        {inOrder("fake/at-2", "other/at-9", "fake/at-1"), map[string]Class{"at-2": Overload}, "at-2 at-1", false},
		"there is nobody else":          {inOrder("fake/at-2"), map[string]Class{"at-2": Overload}, "at-2 at-2 at-2 at-2 at-2", true},
		"another key may be good":       {inOrder("other/at-3", "fake/at-2"), map[string]Class{"at-3": Auth}, "at-3 at-2", false},
		"the same key is not":           {inOrder("fake/at-2", "fake/at-1"), map[string]Class{"at-2": Auth}, "at-2", true},
		"a bad request stays a bad one": {inOrder("other/at-3", "fake/at-2"), map[string]Class{"at-3": BadRequest}, "at-3", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := &flaky{class: test.class}
			r := newRoutedTo(t, provider.complete, test.row)
			call := r.selected(t)
			chosen := call.Choice
			records, err := r.attempts(t, call)
			if asked := strings.Join(provider.asked, " "); asked != test.asked || (err != nil) != test.fails {
				t.Errorf("asked %s, %v; expected %s", asked, err, test.asked)
			}
			if !reflect.DeepEqual(call.Choice, chosen) {
				t.Errorf("the choice is %+v, and was %+v", call.Choice, chosen)
			}
			for i, record := range records {
				if record.Model != provider.asked[i] || record.Fallback != (record.Model != chosen.Model) || record.Propensity != chosen.Propensity || record.PolicyVersion != "7" {
					t.Errorf("recorded %+v", record)
				}
			}
			if last := provider.asked[len(provider.asked)-1]; err == nil && call.AnsweredBy().Model != last {
				t.Errorf("answered by %s, expected %s", call.AnsweredBy(), last)
			}
		})
	}
}

func TestChoicesOfTheTableHaveStandIns(t *testing.T) {
	t.Parallel()
	provider := &flaky{class: map[string]Class{"at-2": Overload}}
	r := newRoutedTo(t, provider.complete)
	r.policy = nil
	call := r.selected(t)
	records, err := r.attempts(t, call)
	if err != nil || !reflect.DeepEqual(provider.asked, []string{"at-2", "at-3"}) || call.AnsweredBy() != arm("other/at-3") {
		t.Errorf("asked %v, %v; expected the next of the tier", provider.asked, err)
	}
	if last := records[len(records)-1]; !last.Fallback || last.PolicyVersion != "static" {
		t.Errorf("recorded %+v", last)
	}
}

// What a provider says of its next attempt matters to nobody else.
func TestFallbackDoesNotWaitForTheFirst(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row  centralcloud.PolicyRow
		want time.Duration
	}{
		"another provider":  {inOrder("other/at-3", "fake/at-2"), time.Second},
		"the same provider": {inOrder("fake/at-2", "fake/at-1"), time.Minute},
	} {
		provider := &flaky{class: map[string]Class{"at-3": RateLimit, "at-2": RateLimit}}
		r := newRoutedTo(t, provider.complete, test.row)
		ctx, _ := newAttempt(t, 1)
		err := r.Call(ctx, r.selected(t))
		retry := workflow.Retry{Attempts: 2, Delays: []time.Duration{time.Second}}
		if wait, again := retry.Next(1, err, 0); !again || wait >= test.want*5/4 || wait < test.want {
			t.Errorf("%s: %v, waits %s, expected about %s", name, err, wait, test.want)
		}
	}
}

func TestTakeoverKeepsTheChoice(t *testing.T) {
	t.Parallel()
	first := newRouted(t, inOrder("other/at-3", "fake/at-2"))
	document, err := json.Marshal(first.selected(t))
	if err != nil {
		t.Fatal(err)
	}
	provider := new(flaky)
	second := newRoutedTo(t, provider.complete, inOrder("fake/at-1"))
	second.policy.Version = 8
	call := new(Call)
	if err := json.Unmarshal(document, call); err != nil {
		t.Fatal(err)
	}
	chosen := call.Choice
	if _, err := second.attempts(t, call); err != nil || !reflect.DeepEqual(provider.asked, []string{"at-3"}) || !reflect.DeepEqual(call.Choice, chosen) {
		t.Errorf("asked %v by %+v, %v; expected what was chosen before: %+v", provider.asked, call.Choice, err, chosen)
	}
}

func TestTakeoverWithoutTheChosenProviderFallsBack(t *testing.T) {
	t.Parallel()
	provider := new(flaky)
	r := newRoutedTo(t, provider.complete)
	call := newCall()
	call.Choice = Choice{Provider: "absent", Model: "at-4", PolicyVersion: "7", Propensity: 0.5, Fallback: arms("absent/at-4", "other/at-3")}
	records, err := r.attempts(t, call)
	if err != nil || !reflect.DeepEqual(provider.asked, []string{"at-3"}) || !records[0].Fallback || records[0].Propensity != 0.5 || call.StandIn != arm("other/at-3") {
		t.Errorf("asked %v, %v; recorded %+v", provider.asked, err, records)
	}
}

func TestOpenBreakersSendCallsElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		provider := &flaky{class: map[string]Class{"at-3": Overload}}
		r := newRoutedTo(t, provider.complete, inOrder("other/at-3", "fake/at-2"))
		ask := func(call *Call) string {
			provider.asked = nil
			ctx, _ := newAttempt(t, 1)
			_ = r.Call(ctx, call)
			return strings.Join(provider.asked, " ")
		}
		waiting := []*Call{r.selected(t), r.selected(t), r.selected(t), r.selected(t)} // they chose before
		for range failuresToOpen {
			if asked := ask(r.selected(t)); asked != "at-3" {
				t.Errorf("asked %s while the breaker is closed", asked)
			}
		}
		if asked := ask(waiting[0]); asked != "at-2" {
			t.Errorf("asked %s while the breaker of the chosen is open", asked)
		}
		if call := r.selected(t); call.Choice.Model != "at-2" || call.Choice.Propensity != 1 {
			t.Errorf("chose %+v while the breaker of the favourite is open", call.Choice)
		}
		time.Sleep(openFor)
		if call := r.selected(t); call.Choice.Model != "at-3" {
			t.Errorf("chose %+v when a probe is due", call.Choice)
		}
		if asked := ask(waiting[1]); asked != "at-3" {
			t.Errorf("asked %s when a probe is due", asked)
		}
		if asked := ask(waiting[2]); asked != "at-2" {
			t.Errorf("asked %s after the probe failed", asked)
		}
		time.Sleep(openFor)
		provider.class = nil
		if asked := ask(waiting[2]); asked != "at-3" {
			t.Errorf("asked %s when a probe is due again", asked)
		}
		if call := r.selected(t); call.Choice.Model != "at-3" || call.Choice.Why != "why other/at-3" {
			t.Errorf("chose %+v after the probe was answered", call.Choice)
		}
		for text, want := range map[string]int{"model does not answer": 1, "model answers again": 1} {
			if count := strings.Count(r.logged.String(), text); count != want {
				t.Errorf("the log says %q %d times, expected %d:\n%s", text, count, want, r.logged)
			}
		}
	})
}

func TestOneCallAtATimeProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string]int{}
		answer := make(chan struct{})
		r := newRoutedTo(t, func(ctx context.Context, req Request) (Response, error) {
			mu.Lock()
			asked[req.Model]++
			mu.Unlock()
			<-answer
			return answers(ctx, req)
		}, inOrder("other/at-3", "fake/at-2"))
		calls := make([]*Call, 10)
		for i := range calls {
			calls[i] = r.selected(t)
		}
		r.trip("other/at-3")
		time.Sleep(openFor)
		var waiting sync.WaitGroup
		for _, call := range calls {
			ctx, _ := newAttempt(t, 1)
			waiting.Go(func() {
				if err := r.Call(ctx, call); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if want := map[string]int{"at-3": 1, "at-2": 9}; !reflect.DeepEqual(asked, want) {
			t.Errorf("asked %v while the probe is under way, expected %v", asked, want)
		}
		close(answer)
		waiting.Wait()
	})
}

func TestPanicsEndProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoutedTo(t, func(context.Context, Request) (Response, error) { panic("a bug") }, inOrder("other/at-3", "fake/at-2"))
		call := r.selected(t)
		r.trip("other/at-3")
		time.Sleep(openFor)
		func() {
			defer func() { _ = recover() }()
			_ = r.Call(t.Context(), call)
		}()
		if !r.targets[arm("other/at-3")].breaker.ready() {
			t.Error("the probe is under way for ever")
		}
	})
}

func TestAllOpenBreakersAreNoError(t *testing.T) {
	t.Parallel()
	provider := new(flaky)
	r := newRoutedTo(t, provider.complete, inOrder("other/at-3", "fake/at-2", "fake/at-1"))
	r.trip("other/at-3")
	r.trip("fake/at-2")
	r.trip("fake/at-1")
	call := r.selected(t)
	if call.Choice.Model != "at-3" || call.Choice.PolicyVersion != "7" {
		t.Errorf("chose %+v, expected what the policy favours", call.Choice)
	}
	if records, err := r.attempts(t, call); err != nil || !reflect.DeepEqual(provider.asked, []string{"at-3"}) || records[0].Fallback {
		t.Errorf("asked %v, %v; recorded %+v", provider.asked, err, records)
	}
	if !r.targets[arm("other/at-3")].breaker.closed() {
		t.Error("the answer did not close the breaker")
	}
}

func TestOnlyFailuresToAnswerCount(t *testing.T) {
	t.Parallel()
	for class, want := range map[Class]struct{ asked, sibling bool }{ // whose breakers open
		Overload: {true, false}, Timeout: {true, false}, RateLimit: {true, false}, Unknown: {true, false}, Auth: {true, true},
		BadRequest: {}, Content: {}, Cancelled: {}, Limited: {},
	} {
		r := newRouted(t)
		for range failuresToOpen {
			r.heard(t.Context(), r.targets[arm("fake/at-1")], &Error{Class: class, Provider: "fake"})
		}
		for name, open := range map[string]bool{"fake/at-1": want.asked, "fake/at-2": want.sibling, "other/at-3": false} {
			if closed := r.targets[arm(name)].breaker.closed(); closed == open {
				t.Errorf("%s: closed is %v for %s", class, closed, name)
			}
		}
	}
}

func TestSpendingLimitPrefersTheFallbackOrder(t *testing.T) {
	t.Parallel()
	table, err := ParseTable([]byte(pricedTable))
	if err != nil {
		t.Fatal(err)
	}
	row := inOrder("fake/at-1000", "fake/at-100")
	policy := &centralcloud.Policy{Version: 7, Rows: []centralcloud.PolicyRow{row}}
	for amount, want := range map[NanoDollars]string{most * 1000: "at-1000", most * 600: "at-100", most*100 - 1: ""} {
		router, err := NewRouter(table, []Provider{fakeProvider{"fake", answers}, fakeProvider{"other", answers}}, RouterConfig{
			Limits: Limits{PerDay: amount}, Ledger: &fakeLedger{spent: map[string]NanoDollars{}},
			Policy: func() *centralcloud.Policy { return policy },
		})
		if err != nil {
			t.Fatal(err)
		}
		call := newCall()
		ctx, _ := newAttempt(t, 1)
		err = errors.Join(router.Select(ctx, call), router.Call(ctx, call))
		var limit *LimitError
		switch {
		case want == "" && (!errors.As(err, &limit) || limit.Model != "at-100"):
			t.Errorf("%v, expected a refusal that names the cheapest", err)
		case want != "" && (err != nil || call.AnsweredBy().Model != want):
			t.Errorf("with %s: answered by %s, %v; expected %s", amount.Dollars(), call.AnsweredBy(), err, want)
		}
	}
}
