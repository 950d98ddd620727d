package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"singularity/llm"
	"singularity/persistence"
)

// spendingFlags are the limits of what models may cost.
type spendingFlags struct {
	perRun dollars
	perDay dollars
	perKey dollarsByName
}

func (f *spendingFlags) register(set *pflag.FlagSet) {
	set.Var(&f.perRun, "spend-per-run", "what the calls of one run may cost together, in US dollars (default: no limit)")
	set.Var(&f.perDay, "spend-per-day", "what the calls of one day (UTC) may cost together, on all nodes, in US dollars (default: no limit)")
	set.Var(&f.perKey, "spend-per-key", "what the calls of one day (UTC) with the keys of some providers may cost, on all nodes, such as openai=5,anthropic=20 (default: no limit)")
}

func (f *spendingFlags) limits() llm.Limits {
	return llm.Limits{PerRun: llm.NanoDollars(f.perRun), PerDay: llm.NanoDollars(f.perDay), PerKey: f.perKey}
}

// dollars is the value of a flag that is an amount.
type dollars llm.NanoDollars

func (d *dollars) String() string {
	if *d == 0 {
		return ""
	}
	return strings.TrimPrefix(llm.NanoDollars(*d).Dollars(), "$")
}

func (d *dollars) Set(text string) error {
	amount, err := llm.ParseDollars(text)
	if err == nil && amount == 0 {
		err = fmt.Errorf("%q is no limit; expected more than 0 US dollars", text)
	}
	*d = dollars(amount)
	return err
}

func (*dollars) Type() string { return "dollars" }

// multiple is the value of a flag that says how many times as much as something.
type multiple float64

func (m *multiple) String() string { return numberText(float64(*m)) }

func (m *multiple) Set(text string) error {
	times, err := strconv.ParseFloat(text, 64)
	if err != nil || !(times >= 1) {
		return fmt.Errorf("%q is no multiple; expected a number, 1 at least", text)
	}
	*m = multiple(times)
	return nil
}

func (*multiple) Type() string { return "times" }

// dollarsByName is the value of a flag that has amounts by name.
type dollarsByName map[string]llm.NanoDollars

func (d *dollarsByName) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(*d)) {
		amount := dollars((*d)[name])
		parts = append(parts, name+"="+amount.String())
	}
	return strings.Join(parts, ",")
}

func (d *dollarsByName) Set(text string) error {
	*d = make(dollarsByName)
	for part := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(part, "=")
		var amount dollars
		if !found || name == "" {
			return fmt.Errorf("%q is not a limit; expected a provider and US dollars, such as openai=5", part)
		}
		if err := amount.Set(value); err != nil {
			return err
		}
		(*d)[name] = llm.NanoDollars(amount)
	}
	return nil
}

func (*dollarsByName) Type() string { return "provider=dollars" }

// ledger keeps what models cost in the store of an engine that is yet to be
// opened. Calls wait for that.
type ledger struct {
	opened  chan struct{}
	budgets persistence.Budgets // once opened
}

var _ llm.Ledger = (*ledger)(nil)

func newLedger() *ledger { return &ledger{opened: make(chan struct{})} }

// open is called once.
func (l *ledger) open(budgets persistence.Budgets) {
	l.budgets = budgets
	close(l.opened)
}

func (l *ledger) wait(ctx context.Context) error {
	select {
	case <-l.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Spend implements [llm.Ledger].
func (l *ledger) Spend(ctx context.Context, accounts []llm.Account, amount llm.NanoDollars) (llm.Receipt, error) {
	if err := l.wait(ctx); err != nil {
		return llm.Receipt{}, err
	}
	spent, err := l.budgets.Spend(ctx, budgetsOf(accounts), int64(amount))
	return llm.Receipt{Day: spent.Day, Full: spent.Full, Spent: llm.NanoDollars(spent.Before)}, err
}

// Correct implements [llm.Ledger].
func (l *ledger) Correct(ctx context.Context, accounts []llm.Account, receipt llm.Receipt, amount llm.NanoDollars) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	return l.budgets.Correct(ctx, budgetsOf(accounts), persistence.Spent{Day: receipt.Day}, int64(amount))
}

func budgetsOf(accounts []llm.Account) []persistence.Budget {
	budgets := make([]persistence.Budget, len(accounts))
	for i, account := range accounts {
		budgets[i] = persistence.Budget{Name: account.Name, Run: account.Run, Daily: account.Daily, Limit: int64(account.Limit)}
	}
	return budgets
}
