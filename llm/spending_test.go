package llm

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"singularity/workflow"
)

// fakeLedger keeps accounts in a map. A day of it never ends.
type fakeLedger struct {
	spent map[string]NanoDollars
	asked int
	err   error
}

func (l *fakeLedger) Spend(_ context.Context, accounts []Account, amount NanoDollars) (Receipt, error) {
	l.asked++
	if l.err != nil {
		return Receipt{}, l.err
	}
	for _, account := range accounts {
		if spent := l.spent[account.Name]; spent+amount > account.Limit {
			return Receipt{Full: account.Name, Spent: spent}, nil
		}
	}
	for _, account := range accounts {
		l.spent[account.Name] += amount
	}
	return Receipt{Day: "2026-01-02"}, nil
}

func (l *fakeLedger) Correct(_ context.Context, accounts []Account, receipt Receipt, amount NanoDollars) error {
	if receipt.Day == "" {
		return errors.New("corrected what was not spent")
	}
	for _, account := range accounts {
		l.spent[account.Name] += amount
	}
	return nil
}

// A token of the model that is named for it costs so many nano-dollars, and an
// answer has 100 of them at most.
const pricedTable = `{"date": "2025-09-30", "models": [
	{"provider": "fake", "model": "at-1000", "tier": "medium", "max_answer_tokens": 100, "usd_per_mtok_in": 1, "usd_per_mtok_out": 1},
	{"provider": "fake", "model": "at-100", "tier": "small", "max_answer_tokens": 100, "usd_per_mtok_in": 0.1, "usd_per_mtok_out": 0.1},
	{"provider": "other", "model": "at-500", "tier": "large", "max_answer_tokens": 100, "usd_per_mtok_in": 0.5, "usd_per_mtok_out": 0.5},
	{"provider": "other", "model": "at-5000", "tier": "large", "max_answer_tokens": 100, "usd_per_mtok_in": 5, "usd_per_mtok_out": 5},
	{"provider": "absent", "model": "at-200", "tier": "small", "usd_per_mtok_in": 0.2, "usd_per_mtok_out": 0.2}]}`

// most is the number of tokens that a call of newCall has at most: five bytes,
// what a format adds, and the answer.
const most = 5 + 16 + 64 + 100

// newLimited returns a router over two providers that answer by a function.
func newLimited(t *testing.T, limits Limits, ledger Ledger, complete func(context.Context, Request) (Response, error)) *Router {
	t.Helper()
	table, err := ParseTable([]byte(pricedTable))
	if err != nil {
		t.Fatal(err)
	}
	router, err := NewRouter(table, []Provider{fakeProvider{"fake", complete}, fakeProvider{"other", complete}},
		RouterConfig{Limits: limits, Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func answers(_ context.Context, req Request) (Response, error) {
	return Response{Text: "42", Model: req.Model, Finish: Stopped, Usage: Usage{In: 2, Out: 1}}, nil
}

func TestCallsGiveWayToCheaperModels(t *testing.T) {
	t.Parallel()
	run := "run/" + workflow.RunID{1}.String()
	for name, test := range map[string]struct {
		limits Limits
		spent  map[string]NanoDollars
		want   string // the model
		asked  int    // how often the ledger
	}{
		"enough":                      {Limits{PerDay: most * 1000}, nil, "at-1000", 1},
		"not enough for the chosen":   {Limits{PerDay: most*1000 - 1}, nil, "at-500", 2},
		"enough for the cheapest":     {Limits{PerDay: most*500 - 1}, nil, "at-100", 2},
		"used up but for the last":    {Limits{PerDay: most * 1000}, map[string]NanoDollars{"day": most * 900}, "at-100", 2},
		"used up by the run":          {Limits{PerRun: most * 1000}, map[string]NanoDollars{run: most * 400}, "at-500", 2},
		"used up by another run":      {Limits{PerRun: most * 1000}, map[string]NanoDollars{"run/another": most * 900}, "at-1000", 1},
		"used up for one key":         {Limits{PerKey: map[string]NanoDollars{"fake": most * 100}}, nil, "at-500", 1},
		"used up for the other key":   {Limits{PerKey: map[string]NanoDollars{"other": 1}}, nil, "at-1000", 0},
		"the day's, then the other's": {Limits{PerDay: most * 600, PerKey: map[string]NanoDollars{"other": 1}}, nil, "at-100", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ledger := &fakeLedger{spent: map[string]NanoDollars{}}
			maps.Copy(ledger.spent, test.spent)
			var asked Request
			router := newLimited(t, test.limits, ledger, func(ctx context.Context, req Request) (Response, error) {
				asked = req
				return answers(ctx, req)
			})
			ctx, attempt := newAttempt(t, 1)
			call := newCall()
			if err := errors.Join(router.Select(ctx, call), router.Call(ctx, call)); err != nil {
				t.Fatal(err)
			}
			record, _ := reported(t, attempt)
			if call.Choice.Model != test.want || asked.Model != test.want || record.Model != test.want || ledger.asked != test.asked {
				t.Errorf("asked %s after %d looks, recorded %s, kept %s; expected %s after %d", asked.Model, ledger.asked, record.Model, call.Choice.Model, test.want, test.asked)
			}
			if asked.MaxTokens != 100 {
				t.Errorf("asked for %d tokens, expected the bound that was paid for", asked.MaxTokens)
			}
			limited := test.want != "at-1000"
			if (call.Choice.PolicyVersion == "spending_limit") != limited || strings.Contains(call.Choice.Why, "spending limit: at-1000 could exceed it") != limited {
				t.Errorf("chosen as %s by %s", call.Choice.Why, call.Choice.PolicyVersion)
			}
			if (asked.Key == workflow.Key(ctx)) == limited {
				t.Errorf("asked %s by the key %s", asked.Model, asked.Key)
			}
		})
	}
}

func TestCallThatNoModelCanAffordIsRefused(t *testing.T) {
	t.Parallel()
	for reason, limits := range map[string]Limits{
		"the spending limit of this run is $0.000001: $0 are spent, or held for calls under way, and a call of at-100, the cheapest model there is, may cost $0.0000185; raise it, or ask for less": {PerRun: 1000},
		"the spending limit of a day is $0.000001":                     {PerDay: 1000},
		"the spending limit of the key of fake for a day is $0.000001": {PerKey: map[string]NanoDollars{"fake": 1000, "other": 1000}},
	} {
		ledger := &fakeLedger{spent: map[string]NanoDollars{}}
		router := newLimited(t, limits, ledger, func(context.Context, Request) (Response, error) {
			t.Error("a provider was asked")
			return Response{}, nil
		})
		ctx, attempt := newAttempt(t, 1)
		call := newCall()
		if err := router.Select(ctx, call); err != nil {
			t.Fatal(err)
		}
		err := router.Call(ctx, call)
		if !workflow.IsPermanent(err) || ClassOf(err) != Limited || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v, expected a permanent error: %s", err, reason)
		}
		if report, _ := attempt.Report(); len(report.Facts) != 0 || report.Summary.ErrorClass != "limited" {
			t.Errorf("reported %+v, expected no call and the class", report)
		}
		if len(ledger.spent) != 0 {
			t.Errorf("spent %v", ledger.spent)
		}
	}
}

func TestCostTakesThePlaceOfWhatWasHeld(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		response Response
		err      error
		want     NanoDollars
	}{
		"an answer":                   {Response{Text: "42", Finish: Stopped, Usage: Usage{In: 2, Out: 1}}, nil, 3_000},
		"an answer that none counted": {Response{Text: "12345678", Finish: Stopped}, nil, 4_000}, // two tokens in, two out
		"a refusal that cost":         {Response{Usage: Usage{In: 2}}, &Error{Class: Content}, 2_000},
		"an error answer":             {Response{}, &Error{Class: Overload, Status: 529}, 0},
		"an answer that broke off":    {Response{Text: "1234"}, &Error{Class: Timeout}, 3_000},
		"one that was half counted":   {Response{Text: "12345678", Usage: Usage{In: 2, Out: 1}}, &Error{Class: Timeout}, 4_000},
		"one that was thought over":   {Response{Text: "1234", Usage: Usage{In: 2, Out: 9}}, &Error{Class: Unknown}, 11_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ledger := &fakeLedger{spent: map[string]NanoDollars{}}
			router := newLimited(t, Limits{PerRun: most * 1000, PerDay: most * 1000}, ledger, func(context.Context, Request) (Response, error) {
				if held := ledger.spent["day"]; held != most*1000 {
					t.Errorf("%d are held during the call, expected %d", held, most*1000)
				}
				return test.response, test.err
			})
			ctx, _ := newAttempt(t, 1)
			call := newCall()
			if err := errors.Join(router.Select(ctx, call), router.Call(ctx, call)); (err == nil) != (test.err == nil) {
				t.Fatal(err)
			}
			want := map[string]NanoDollars{"day": test.want, "run/" + workflow.RunID{1}.String(): test.want}
			if !reflect.DeepEqual(ledger.spent, want) {
				t.Errorf("spent %v, expected %v", ledger.spent, want)
			}
		})
	}
}

func TestCallWaitsForALedgerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	router := newLimited(t, Limits{PerDay: 1}, &fakeLedger{err: errors.New("no database")}, answers)
	ctx, _ := newAttempt(t, 1)
	call := newCall()
	if err := router.Select(ctx, call); err != nil {
		t.Fatal(err)
	}
	if err := router.Call(ctx, call); err == nil || workflow.IsPermanent(err) || !strings.Contains(err.Error(), "no database") {
		t.Errorf("%v, expected a passing error", err)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]RouterConfig{
		"spending limit per run: $-0.000000001 is negative":              {Limits: Limits{PerRun: -1}},
		"spending limits need a ledger":                                  {Limits: Limits{PerDay: 1}},
		"spending limit of stranger: that provider is not configured":    {Limits: Limits{PerKey: map[string]NanoDollars{"stranger": 1}}},
		"spending limit of free: $0 is not positive":                     {Limits: Limits{PerKey: map[string]NanoDollars{"free": 0}}},
		"model unpriced has no price in the table of models, which":      {Limits: Limits{PerDay: 1}, Ledger: &fakeLedger{}},
		"fallback at 0.5 times the price: expected 1 at least":           {FallbackPrice: 0.5},
		"at most -1 tokens an answer: expected a positive number, or 0 ": {MaxTokens: -1},
	} {
		_, err := NewRouter(testTable(t), []Provider{fakeProvider{name: "free"}}, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	limits := Limits{PerDay: 1}
	for _, test := range []struct {
		model  Model
		config int64
		limits Limits
		want   int64
	}{
		{Model{}, 0, Limits{}, 0},
		{Model{MaxTokens: 100}, 0, Limits{}, 100},
		{Model{}, 50, Limits{}, 50},
		{Model{MaxTokens: 100}, 50, Limits{}, 50},
		{Model{MaxTokens: 100}, 200, Limits{}, 100},
		{Model{}, 0, limits, 8192},
		{Model{MaxTokens: 100_000}, 0, limits, 100_000},
		{Model{MaxTokens: 100, Context: 1000}, 0, Limits{}, 100},
		{Model{MaxTokens: 900, Context: 1000}, 0, Limits{}, 500}, // beside 400 tokens, or 500
		{Model{MaxTokens: 900, Context: 300}, 0, Limits{}, 1},
		{Model{Context: 1000}, 0, Limits{}, 0},
	} {
		router := &Router{max: test.config, limits: test.limits}
		if got := router.maxTokens(test.model, []Message{{Content: strings.Repeat("word", 400)}}); got != test.want {
			t.Errorf("%+v: %d tokens", test, got)
		}
	}
}
