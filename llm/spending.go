package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// limitedPolicy is the policy version of choices that a spending limit made.
const limitedPolicy = "spending_limit"

// hold is what was put aside for one call: the most that it may cost.
type hold struct {
	accounts []Account
	receipt  Receipt
	amount   NanoDollars
}

// afford puts aside what a call may cost, before it is made: by the model of the
// choice, or by the next cheaper one that the limits leave room for. A process that
// dies in a call leaves what was put aside as spent.
//
// No call is begun that could exceed a limit, on however many nodes at once. What
// can is a bill that is higher than the bound: one for tokens that are in none of
// the texts.
func (r *Router) afford(ctx context.Context, call *Call, choice Choice) (Choice, hold, error) {
	if !r.limited() {
		return choice, hold{}, nil
	}
	if chosen, found := r.table.Find(choice.Provider, choice.Model); !found || chosen.Price == nil {
		if !r.limits.limited() { // no learned budget has what it costs in it
			return choice, hold{}, nil
		}
		return choice, hold{}, errors.New("this node's table of models has no price for it, which spending limits need")
	}
	run := workflow.FromContext(ctx).Run
	var refused *LimitError
	for _, model := range r.alternatives(choice, call.Messages) {
		held := hold{accounts: r.accounts(run, model.Provider), amount: r.most(model, call.Messages)}
		if refused != nil && refused.forbids(held) {
			refused.considered(model, held.amount)
			continue
		}
		var err error
		held.receipt, err = r.ledger.Spend(ctx, held.accounts, held.amount)
		switch {
		case err != nil:
			return choice, hold{}, fmt.Errorf("look up what may be spent: %w", err)
		case held.receipt.Full == "":
			return limitedChoice(choice, model, refused), held, nil
		case refused == nil:
			refused = &LimitError{Provider: model.Provider, Model: model.Name, Needed: held.amount}
		}
		refused.Account, refused.Spent = held.full(), held.receipt.Spent
		refused.considered(model, held.amount)
	}
	return choice, hold{}, r.refusal(refused)
}

// considered notes a model that was refused, if it is the cheapest yet.
func (e *LimitError) considered(model Model, needed NanoDollars) {
	if needed <= e.Needed {
		e.Provider, e.Model, e.Needed = model.Provider, model.Name, needed
	}
}

// full is the account that had no room.
func (h hold) full() Account {
	i := slices.IndexFunc(h.accounts, func(account Account) bool { return account.Name == h.receipt.Full })
	return h.accounts[max(i, 0)]
}

// forbids reports whether the account that had no room has none for this, either.
func (e *LimitError) forbids(held hold) bool {
	return slices.Contains(held.accounts, e.Account) && held.amount > e.Account.Limit-e.Spent
}

// limitedChoice is the choice of a model that a refusal led to.
func limitedChoice(choice Choice, model Model, refused *LimitError) Choice {
	if refused == nil {
		return choice
	}
	return Choice{
		Provider: model.Provider, Model: model.Name, Tier: model.Tier, Bucket: choice.Bucket,
		Why:           fmt.Sprintf("spending limit: %s could exceed it; the next cheaper model that fits (chosen at first as %s)", choice.Model, choice.Why),
		PolicyVersion: limitedPolicy, Propensity: 1,
	}
}

// alternatives are the model of the choice and those that may stand in for it when
// it costs too much: every one that costs less, those of the fallback order first,
// then the dearest.
func (r *Router) alternatives(choice Choice, messages []Message) []Model {
	chosen, _ := r.table.Find(choice.Provider, choice.Model)
	bound := r.most(chosen, messages)
	var cheaper []Model
	for _, model := range r.table.Models {
		if r.providers[model.Provider] != nil && model.Price != nil && model.holds(tokensOf(messages)) && r.most(model, messages) < bound {
			cheaper = append(cheaper, model)
		}
	}
	rank := func(model Model) int {
		if i := slices.Index(choice.Fallback, model.Arm()); i >= 0 {
			return i
		}
		return len(choice.Fallback)
	}
	slices.SortStableFunc(cheaper, func(a, b Model) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(r.most(b, messages), r.most(a, messages)))
	})
	return append([]Model{chosen}, cheaper...)
}

// most is the most that a call of a model may cost.
func (r *Router) most(model Model, messages []Message) NanoDollars {
	return model.Price.most(mostTokensOf(messages), r.maxTokens(model, messages))
}

// boundedTokens bounds answers where nothing says how long they may be, and a
// limit has to know.
const boundedTokens = 8192

// maxTokens is how long a model's answer to some messages may be; 0 when nobody
// says. Servers refuse to be asked for more than there is room for.
func (r *Router) maxTokens(model Model, messages []Message) int64 {
	most := model.MaxTokens
	if r.max > 0 && (most == 0 || r.max < most) {
		most = r.max
	}
	if most == 0 && r.limited() {
		most = boundedTokens
	}
	if model.Context > 0 {
		most = min(most, max(model.Context-tokensOf(messages)*5/4, 1))
	}
	return most
}

// settle puts the cost of a call in the place of what was put aside for it.
func (r *Router) settle(ctx context.Context, held hold, model Model, messages []Message, response Response, cost *NanoDollars, err error) {
	if held.accounts == nil {
		return
	}
	spent := spentOn(model, messages, response, cost, err)
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.ledger.Correct(ctx, held.accounts, held.receipt, spent-held.amount); err != nil {
		r.log.WarnContext(ctx, "what a call could have cost stays as spent: its cost was not noted",
			"run", workflow.FromContext(ctx).Run.String(), "model", model.Name, "held", held.amount.Dollars(), "error", err)
	}
}

// spentOn is the cost of a call of a model. What nobody counted, or not to the end, is
// estimated from the texts; what the server refused costs nothing.
func spentOn(model Model, messages []Message, response Response, cost *NanoDollars, err error) NanoDollars {
	failure, failed := asError(err)
	counted := cost != nil && (err == nil || failed && centralcloud.Answered(string(failure.Class)))
	switch {
	case counted:
		return *cost
	case failed && failure.Status != 0:
		return 0
	}
	estimate := model.Price.Cost(Usage{In: tokensOf(messages), Out: EstimateTokens(response.Text)})
	if cost != nil {
		estimate = max(estimate, *cost)
	}
	return estimate
}
