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
// all breakers are open it goes by the policy as if none was.
func (r *Router) follow(plan *plan, call *Call, bucket Bucket, tokens int64) (choice Choice, found bool) {
	row := plan.row(call.TaskType, bucket)
	if row == nil {
		return Choice{}, false
	}
	stale := plan.stale()
	among := row.arms
	if stale {
		among = row.favoured
	}
	ready := func(arm centralcloud.Arm) bool { return r.targets[arm].ready(tokens) }
	holds := func(arm centralcloud.Arm) bool { return r.targets[arm].holds(tokens) }
	draw := centralcloud.Draw(call.RequestID, call.TaskType, int(bucket), plan.policy.Version)

	arm, propensity, found := row.favoured.Pick(draw, ready)
	if found && !stale {
		arm, propensity, _ = among.Pick(draw, ready)
	}
	if !found {
		arm, found = row.next(ready)
		propensity = 1
	}
	if !found {
		arm, propensity, found = among.Pick(draw, holds)
	}
	if !found {
		return Choice{}, false
	}
	return Choice{
		Provider: arm.Provider, Model: arm.Model, Tier: r.targets[arm.Arm].Tier, Bucket: bucket,
		Why: arm.Why + r.without(row, tokens), PolicyVersion: plan.version, Propensity: propensity, Stale: stale,
		Fallback: fitting(row.fallback, holds),
	}, true
}

// next is the first of the fallback order that can be asked.
func (r *planRow) next(ready func(centralcloud.Arm) bool) (centralcloud.PolicyArm, bool) {
	i := slices.IndexFunc(r.fallback, ready)
	if i < 0 {
		return centralcloud.PolicyArm{}, false
	}
	return centralcloud.PolicyArm{Arm: r.fallback[i], Why: "first of the fallback order that can be asked" + r.absent}, true
}

// without is the end of a reason: which of the favoured arms cannot be asked now.
func (r *Router) without(row *planRow, tokens int64) string {
	var text strings.Builder
	for _, arm := range row.favoured.Arms {
		switch target := r.targets[arm.Arm]; {
		case !target.holds(tokens):
			fmt.Fprintf(&text, "; %s does not hold the request", arm.Arm)
		case !target.breaker.ready():
			fmt.Fprintf(&text, "; the breaker of %s is open", arm.Arm)
		}
	}
	return text.String()
}

// fitting are the arms that hold the request: the very same slice when all do.
func fitting(arms []centralcloud.Arm, holds func(centralcloud.Arm) bool) []centralcloud.Arm {
	misfit := func(arm centralcloud.Arm) bool { return !holds(arm) }
	if !slices.ContainsFunc(arms, misfit) {
		return arms
	}
	return slices.DeleteFunc(slices.Clone(arms), misfit)
}
