package llm

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// leased is a node whose policy has a budget. Each call costs the most that it may.
type leased struct {
	*testing.T
	*Router
	policy *centralcloud.Policy
	asked  string
}

func newLeased(t *testing.T, limits Limits, ledger Ledger) *leased {
	t.Helper()
	table, err := ParseTable([]byte(pricedTable))
	if err != nil {
		t.Fatal(err)
	}
	l := &leased{T: t, policy: &centralcloud.Policy{
		Version: 7, Received: time.Now(), Rows: []centralcloud.PolicyRow{inOrder("fake/at-1000", "other/at-500", "fake/at-100")},
		Budget: &centralcloud.BudgetAccount{LeaseCents: 0.01}, // 100,000 nano-dollars
	}}
	complete := func(_ context.Context, req Request) (Response, error) {
		l.asked = req.Model
		return Response{Text: "42", Model: req.Model, Finish: Stopped, Usage: Usage{In: most - 100, Out: 100}}, nil
	}
	l.Router, err = NewRouter(table, []Provider{fakeProvider{"fake", complete}, fakeProvider{"other", complete}}, RouterConfig{
		Limits: limits, Ledger: ledger, Policy: func() *centralcloud.Policy { return l.policy },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask makes a call, and returns whom it asked, or the error.
func (l *leased) ask() (string, error) {
	l.Helper()
	l.asked = ""
	call := newCall()
	ctx, _ := newAttempt(l.T, 1)
	err := errors.Join(l.Select(ctx, call), l.Call(ctx, call))
	return l.asked, err
}

func (l *leased) wantAsked(want string) {
	l.Helper()
	if asked, err := l.ask(); asked != want || err != nil {
		l.Errorf("asked %q, %v; expected %s", asked, err, want)
	}
}

func TestNodeThatDoesNotHearFromItsHubSpendsWhatItsLeaseLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLeased(t, Limits{}, nil)
		time.Sleep(5 * time.Minute)
		for range 10 {
			l.wantAsked("at-1000") // the hub holds the budget
		}
		time.Sleep(time.Second)
		l.wantAsked("at-500") // 92,500 of 100,000
		asked, err := l.ask()
		var limit *LimitError
		if asked != "" || !errors.As(err, &limit) || limit.Model != "at-100" || workflow.IsPermanent(err) {
			t.Fatalf("asked %q, %v; expected a refusal that passes", asked, err)
		}
		retry := workflow.Retry{Attempts: 2, Delays: []time.Duration{time.Second}}
		if wait, again := retry.Next(1, err, 0); !again || wait < 30*time.Second || wait > 40*time.Second {
			t.Errorf("waits %s, expected until the next epoch", wait)
		}
		time.Sleep(30 * time.Second)
		l.wantAsked("at-500") // 185,000 of 200,000
		time.Sleep(60 * time.Second)
		l.wantAsked("at-1000") // 370,000 of 400,000
		l.wantAsked("at-100")

		fresh := *l.policy
		fresh.Received = time.Now()
		l.policy = &fresh
		l.wantAsked("at-1000")
		time.Sleep(5*time.Minute + time.Second)
		l.wantAsked("at-500") // of a lease that begins anew
	})
}

func TestLeaseHoldsBesideSpendingLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &fakeLedger{spent: map[string]NanoDollars{}}
		l := newLeased(t, Limits{PerDay: most * 1100}, ledger)
		time.Sleep(5*time.Minute + time.Second)
		l.wantAsked("at-500")
		if ledger.spent["day"] != most*500 || ledger.spent[leaseAccount] != 0 {
			t.Errorf("spent %v", ledger.spent)
		}
		time.Sleep(time.Hour)
		l.wantAsked("at-500") // the day has no room for more
		if _, err := l.ask(); err != nil || ledger.spent["day"] != most*1100 {
			t.Errorf("spent %v, %v", ledger.spent, err)
		}
		if _, err := l.ask(); !workflow.IsPermanent(err) {
			t.Errorf("%v, expected a refusal by the day's limit", err)
		}
	})
}

func TestPoliciesWithoutABudgetHaveNoLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLeased(t, Limits{}, nil)
		l.policy.Budget = nil
		time.Sleep(time.Hour)
		l.wantAsked("at-1000")
	})
}
