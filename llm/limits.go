package llm

import (
	"context"
	"fmt"

	"singularity/workflow"
)

// Limits bound what calls may cost. A limit of zero is none. Embeddings carry no
// price, and are not limited.
type Limits struct {
	// PerRun is for all calls of a run together, failed ones too.
	PerRun NanoDollars
	// PerDay is for the calls of all runs on one day (UTC, by the ledger's clock).
	PerDay NanoDollars
	// PerKey is for the calls with a provider's key on one day, by the provider's
	// name.
	PerKey map[string]NanoDollars
}

// Ledger keeps what was spent, for all nodes that share it. A day is one of its
// own clock.
type Ledger interface {
	// Spend adds an amount to each account, or to none of them when one would then
	// exceed its limit, which the receipt says.
	Spend(ctx context.Context, accounts []Account, amount NanoDollars) (Receipt, error)
	// Correct adds an amount, which may be negative, to what a receipt is for.
	Correct(ctx context.Context, accounts []Account, receipt Receipt, amount NanoDollars) error
}

// Account is what a limit is on.
type Account struct {
	Name  string
	Run   workflow.RunID // whose account it is; zero for nobody's
	Daily bool           // it begins anew each day
	Limit NanoDollars
}

// Receipt is a ledger's answer.
type Receipt struct {
	Day   string      // on which it was spent
	Full  string      // the account that had no room, when nothing was spent
	Spent NanoDollars // from that account before
}

// limited reports whether there is any limit.
func (l Limits) limited() bool { return l.PerRun > 0 || l.PerDay > 0 || len(l.PerKey) > 0 }

func (l Limits) validate(providers map[string]Provider) []error {
	var problems []error
	for name, amount := range map[string]NanoDollars{"run": l.PerRun, "day": l.PerDay} {
		if amount < 0 {
			problems = append(problems, fmt.Errorf("spending limit per %s: %s is negative", name, amount.Dollars()))
		}
	}
	for name, amount := range l.PerKey {
		if amount <= 0 {
			problems = append(problems, fmt.Errorf("spending limit of %s: %s is not positive", name, amount.Dollars()))
		}
		if providers[name] == nil {
			problems = append(problems, fmt.Errorf("spending limit of %s: that provider is not configured", name))
		}
	}
	return problems
}

const dayAccount = "day"

// accounts are those that a call of a provider spends from.
func (l Limits) accounts(run workflow.RunID, provider string) []Account {
	var accounts []Account
	if l.PerRun > 0 && !run.IsZero() {
		accounts = append(accounts, Account{Name: "run/" + run.String(), Run: run, Limit: l.PerRun})
	}
	if l.PerDay > 0 {
		accounts = append(accounts, Account{Name: dayAccount, Daily: true, Limit: l.PerDay})
	}
	if limit := l.PerKey[provider]; limit > 0 {
		accounts = append(accounts, Account{Name: "key/" + provider, Daily: true, Limit: limit})
	}
	return accounts
}

// LimitError is a call that was not made, since it could have cost more than a
// spending limit leaves, and that of every cheaper model, too.
type LimitError struct {
	Account  Account
	Spent    NanoDollars
	Provider string // of the cheapest model that was considered
	Model    string
	Needed   NanoDollars // what a call of it may cost
}

func (e *LimitError) Error() string {
	what, remedy := "of this run", "raise it, or ask for less"
	switch {
	case e.Account.Name == leaseAccount:
		what, remedy = "that the hub's budget leaves this node while it does not hear from the hub", "start the hub, or wait: it rises every 30 s"
	case e.Account.Name == dayAccount:
		what, remedy = "of a day", "raise it, or retry the run on the next day (UTC)"
	case e.Account.Daily:
		what, remedy = "of the key of "+e.Provider+" for a day", "raise it, or retry the run on the next day (UTC)"
	}
	return fmt.Sprintf("the spending limit %s is %s: %s are spent, or held for calls under way, and a call of %s, the cheapest model there is, may cost %s; %s",
		what, e.Account.Limit.Dollars(), e.Spent.Dollars(), e.Model, e.Needed.Dollars(), remedy)
}
