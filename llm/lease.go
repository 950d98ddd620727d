package llm

import (
	"context"
	"sync"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// leaseAccount is the account of what this process may spend while it does not hear
// from the hub.
const leaseAccount = "lease"

const leaseEpoch = centralcloud.EpochSeconds * time.Second

// lease is what a policy with a budget lets this process spend in each epoch from
// then on when it is old; none otherwise. A hub that lives holds the budget by its
// policies.
func (p *plan) lease() (account Account, found bool) {
	if p == nil || p.policy.Budget == nil || p.policy.Budget.LeaseCents <= 0 || !p.stale() {
		return Account{}, false
	}
	epochs := 1 + time.Since(p.policy.Received.Add(staleAfter))/leaseEpoch
	return Account{Name: leaseAccount, Limit: p.perEpoch() * NanoDollars(epochs)}, true
}

func (p *plan) perEpoch() NanoDollars { return NanoDollars(p.policy.Budget.LeaseCents * 1e7) }

// wait is how long until the leases add up to what a call may cost.
func (p *plan) wait(refused *LimitError) time.Duration {
	missing := refused.Needed - (refused.Account.Limit - refused.Spent)
	epochs := min(missing/max(p.perEpoch(), 1)+1, NanoDollars(maxRetryAfter/leaseEpoch))
	return time.Duration(epochs) * leaseEpoch
}

// leases is a ledger that keeps the account of leases itself, and has another one
// keep all others. It begins anew with each policy that a lease is of.
type leases struct {
	others Ledger // nil when there are none

	mu    sync.Mutex
	of    time.Time // when the policy was received
	spent NanoDollars
}

// begin says which policy leases are of from now on.
func (l *leases) begin(of time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.of.Equal(of) {
		l.of, l.spent = of, 0
	}
}

// Spend implements [Ledger].
func (l *leases) Spend(ctx context.Context, accounts []Account, amount NanoDollars) (Receipt, error) {
	own, others := leaseOf(accounts)
	if own != nil {
		if before, room := l.take(amount, own.Limit); !room {
			return Receipt{Full: leaseAccount, Spent: before}, nil
		}
	}
	if len(others) == 0 {
		return Receipt{}, nil
	}
	receipt, err := l.others.Spend(ctx, others, amount)
	if own != nil && (err != nil || receipt.Full != "") {
		l.add(-amount)
	}
	return receipt, err
}

// Correct implements [Ledger].
func (l *leases) Correct(ctx context.Context, accounts []Account, receipt Receipt, amount NanoDollars) error {
	own, others := leaseOf(accounts)
	if own != nil {
		l.add(amount)
	}
	if len(others) == 0 {
		return nil
	}
	return l.others.Correct(ctx, others, receipt, amount)
}

// leaseOf splits accounts into that of leases, which comes first if it is there, and
// all others.
func leaseOf(accounts []Account) (own *Account, others []Account) {
	if len(accounts) > 0 && accounts[0].Name == leaseAccount {
		return &accounts[0], accounts[1:]
	}
	return nil, accounts
}

func (l *leases) take(amount, limit NanoDollars) (before NanoDollars, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spent+amount > limit {
		return l.spent, false
	}
	l.spent += amount
	return l.spent - amount, true
}

func (l *leases) add(amount NanoDollars) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spent = max(0, l.spent+amount) // of a call that began by another lease, perhaps
}

// accounts are those that a call of a provider spends from.
func (r *Router) accounts(run workflow.RunID, provider string) []Account {
	accounts := r.limits.accounts(run, provider)
	plan := r.plan()
	lease, leased := plan.lease()
	if !leased {
		return accounts
	}
	r.ledger.begin(plan.policy.Received)
	return append([]Account{lease}, accounts...)
}

// limited reports whether anything bounds what a call may cost now.
func (r *Router) limited() bool {
	_, leased := r.plan().lease()
	return leased || r.limits.limited()
}

// refusal is the error of a call that no account has room for: where it is a matter
// of time alone, until then.
func (r *Router) refusal(refused *LimitError) error {
	if plan := r.plan(); plan != nil && refused.Account.Name == leaseAccount && plan.policy.Budget != nil {
		return workflow.RetryAfter(refused, plan.wait(refused))
	}
	return workflow.Permanent(refused)
}
