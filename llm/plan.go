package llm

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"singularity/centralcloud"
)

const (
	// staleAfter is how long a process may have had a policy before it is old. A hub
	// that lives sends another one each minute.
	staleAfter = 5 * time.Minute
	// tried is the share of a row from which on a policy favours an arm. Less is there
	// to find out whether the arm has become better.
	tried = 0.02
)

// plan is a policy as this node can follow it, made ready to be looked up.
type plan struct {
	policy  *centralcloud.Policy
	version string
	rows    map[centralcloud.Cell]*planRow
}

// planRow is a row of a policy with only those arms that this node can ask.
type planRow struct {
	arms     roster
	favoured roster // who is not just tried out
	fallback []centralcloud.Arm
	standIns []*target // of the fallback
	absent   string    // which arms that are favoured this node cannot ask, as the end of a reason
}

// roster is some arms of a row, with what this node knows of each.
type roster struct {
	row     centralcloud.PolicyRow
	targets []*target
}

func (r *roster) add(arm centralcloud.PolicyArm, target *target) {
	r.row.Arms = append(r.row.Arms, arm)
	r.targets = append(r.targets, target)
}

// plan returns the policy of now, or nil.
func (r *Router) plan() *plan {
	if r.policy == nil {
		return nil
	}
	policy := r.policy()
	if policy == nil {
		return nil
	}
	if last := r.lastPlan.Load(); last != nil && last.policy == policy {
		return last
	}
	next := r.newPlan(policy)
	r.lastPlan.Store(next)
	return next
}

func (r *Router) newPlan(policy *centralcloud.Policy) *plan {
	made := &plan{
		policy:  policy,
		version: strconv.FormatInt(policy.Version, 10),
		rows:    make(map[centralcloud.Cell]*planRow, len(policy.Rows)),
	}
	for i := range policy.Rows {
		row := &policy.Rows[i]
		if made.rows[row.Cell()] == nil {
			made.rows[row.Cell()] = r.newPlanRow(row, policy.Reference)
		}
	}
	return made
}

func (p *plan) row(taskType string, bucket Bucket) *planRow {
	for _, cell := range centralcloud.Cells(taskType, int(bucket)) {
		if row := p.rows[cell]; row != nil {
			return row
		}
	}
	return nil
}

// stale reports whether the hub has been silent for so long that nothing should
// be tried out any more.
func (p *plan) stale() bool {
	received := p.policy.Received
	return !received.IsZero() && time.Since(received) > staleAfter
}

func (r *Router) newPlanRow(row *centralcloud.PolicyRow, reference centralcloud.Arm) *planRow {
	made := new(planRow)
	least := leastFavoured(row.Arms)
	var absent []string
	for _, arm := range row.Arms {
		target, favoured := r.targets[arm.Arm], arm.Weight >= least
		if target != nil {
			made.arms.add(arm, target)
		}
		switch {
		case target != nil && favoured:
			made.favoured.add(arm, target)
		case favoured:
			absent = append(absent, arm.String())
		}
	}
	if len(absent) > 0 {
		made.absent = "; this node cannot ask " + strings.Join(absent, ", ")
	}
	// Here rather than with each choice, which then need not build a text.
	for _, some := range []roster{made.arms, made.favoured} {
		for i := range some.row.Arms {
			some.row.Arms[i].Why += made.absent
		}
	}
	made.fallback = r.fallback(row, least, reference)
	for _, arm := range made.fallback {
		made.standIns = append(made.standIns, r.targets[arm])
	}
	return made
}

// leastFavoured is the weight from which on arms are favoured: at least the
// heaviest is.
func leastFavoured(arms []centralcloud.PolicyArm) float64 {
	var heaviest, total float64
	for _, arm := range arms {
		heaviest = max(heaviest, arm.Weight)
		total += arm.Weight
	}
	return min(tried*total, heaviest)
}

// fallback is the row's order without whom this node cannot ask and whoever is
// dearer than all that the row favours and than the reference: an outage must not
// change the price of a call.
func (r *Router) fallback(row *centralcloud.PolicyRow, least float64, reference centralcloud.Arm) []centralcloud.Arm {
	price := r.prices(row)
	var ceiling float64
	var favoured []centralcloud.Arm
	for _, arm := range row.Arms {
		if arm.Weight >= least || arm.Arm == reference {
			favoured = append(favoured, arm.Arm)
			if cost := price(arm.Arm); !math.IsInf(cost, 1) {
				ceiling = max(ceiling, cost)
			}
		}
	}
	var order []centralcloud.Arm
	for _, arm := range row.Fallback {
		if r.targets[arm] != nil && (price(arm) <= ceiling || slices.Contains(favoured, arm)) {
			order = append(order, arm)
		}
	}
	return order
}

// prices compares arms by what the row expects a call to cost, or where people
// wrote a row without that, by the table of models. Who has no price is the dearest.
func (r *Router) prices(row *centralcloud.PolicyRow) func(centralcloud.Arm) float64 {
	expected, priced := map[centralcloud.Arm]float64{}, false
	for _, arm := range row.Arms {
		expected[arm.Arm] = arm.CostCents
		priced = priced || arm.CostCents > 0
	}
	return func(arm centralcloud.Arm) float64 {
		model, _ := r.table.Find(arm.Provider, arm.Model)
		cost, known := expected[arm]
		switch {
		case priced && known:
			return cost
		case priced || model.Price == nil:
			return math.Inf(1)
		default:
			return float64(model.Price.blended())
		}
	}
}
