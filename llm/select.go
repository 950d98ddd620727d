package llm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"singularity/centralcloud"
)

// Select is a step: it chooses the model for the call. The same request gets the
// same model wherever it is chosen under the same policy, as long as the same
// models can be asked.
func (r *Router) Select(_ context.Context, call *Call) error {
	bucket, tokens := Complexity(call.TaskType, call.Messages), tokensOf(call.Messages)
	plan := r.plan()
	if plan != nil {
		if choice, found := r.follow(plan, call, bucket, tokens); found {
			call.Choice = choice
			r.targets[choice.arm()].choices[byPolicy].Add(1)
			return nil
		}
	}
	choice, err := r.table.choose(bucket, tokens, r.names)
	if err != nil {
		return fmt.Errorf("select a model: %w", err)
	}
	choice.Fallback = r.table.standIns(choice.arm(), tokens, r.names, r.dearest)
	if plan != nil {
		choice.Why = fmt.Sprintf("policy %s has nobody for %s here; %s", plan.version, call.TaskType, choice.Why)
	}
	call.Choice = choice
	r.targets[choice.arm()].choices[byTable].Add(1)
	return nil
}

// follow chooses by the policy. It draws among the arms that can be asked now,
// while there is one of those that the policy favours; else it takes the first of
// the fallback order, since who is only tried out is not good enough for all. When
// nobody of that can be asked, either, it draws as if no breaker was open.
func (r *Router) follow(plan *plan, call *Call, bucket Bucket, tokens int64) (choice Choice, found bool) {
	row := plan.row(call.TaskType, bucket)
	if row == nil {
		return Choice{}, false
	}
	stale := plan.stale()
	among := &row.arms
	if stale {
		among = &row.favoured
	}
	ready := func(target *target) bool { return target.ready(tokens) }
	draw := centralcloud.Draw(call.RequestID, call.TaskType, int(bucket), plan.policy.Version)

	var picked pick
	if slices.ContainsFunc(row.favoured.targets, ready) {
		picked = among.pick(draw, ready)
	} else if i := slices.IndexFunc(row.standIns, ready); i >= 0 {
		picked = pick{row.standIns[i], "first of the fallback order that can be asked" + row.absent, 1}
	}
	if picked.target == nil {
		picked = among.pick(draw, func(target *target) bool { return target.holds(tokens) })
	}
	if picked.target == nil {
		return Choice{}, false
	}
	return Choice{
		Provider: picked.target.Provider, Model: picked.target.Name, Tier: picked.target.Tier, Bucket: bucket,
		Why: picked.why + row.without(tokens), PolicyVersion: plan.version, Propensity: picked.propensity, Stale: stale,
		Fallback: row.fallbackFor(tokens),
	}, true
}

// pick is a target that was picked, and why.
type pick struct {
	target     *target // nil when nobody was
	why        string
	propensity float64
}

func (r *roster) pick(draw float64, usable func(*target) bool) pick {
	i, propensity, found := r.row.Pick(draw, func(i int) bool { return usable(r.targets[i]) })
	if !found {
		return pick{}
	}
	return pick{r.targets[i], r.row.Arms[i].Why, propensity}
}

// without is the end of a reason: which of the favoured arms cannot be asked now.
func (r *planRow) without(tokens int64) string {
	var reasons []string
	for _, target := range r.favoured.targets {
		switch {
		case !target.holds(tokens):
			reasons = append(reasons, "; "+target.Arm().String()+" does not hold the request")
		case !target.breaker.ready():
			reasons = append(reasons, "; the breaker of "+target.Arm().String()+" is open")
		}
	}
	return strings.Join(reasons, "")
}

// fallbackFor is the fallback order for a request of so many tokens: the very
// same slice while everybody holds it.
func (r *planRow) fallbackFor(tokens int64) []centralcloud.Arm {
	if !slices.ContainsFunc(r.standIns, func(target *target) bool { return !target.holds(tokens) }) {
		return r.fallback
	}
	var order []centralcloud.Arm
	for i, target := range r.standIns {
		if target.holds(tokens) {
			order = append(order, r.fallback[i])
		}
	}
	return order
}
