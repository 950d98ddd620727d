package centralcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// rules is a policy as it travels, or a part of one: what nodes go by, with each
// model and each reason written once. The rest of the policy stays at the hub.
type rules struct {
	Version    int64     `json:"version"`
	MadeAt     time.Time `json:"made_at"`
	Mode       Mode      `json:"mode"`
	Reference  Arm       `json:"reference"`
	LeaseCents float64   `json:"lease_cents,omitempty"`

	// Base is the policy whose rows these change; nil when they are all there are.
	Base  *edition `json:"base,omitempty"`
	Part  int      `json:"part"` // of Parts, from 1
	Parts int      `json:"parts"`

	Models  []Arm     `json:"models,omitempty"`
	Reasons []string  `json:"reasons,omitempty"`
	Rows    []ruleRow `json:"rows,omitempty"`
	Gone    []Cell    `json:"gone,omitempty"` // whose rows are no more
}

// edition says which policy: versions begin anew when a hub loses its database.
type edition struct {
	Version int64     `json:"version"`
	MadeAt  time.Time `json:"made_at"`
}

// is reports whether a policy, or none, is this one.
func (e edition) is(policy *Policy) bool {
	return policy != nil && policy.Version == e.Version && policy.MadeAt.Equal(e.MadeAt)
}

// ruleRow is a [PolicyRow] that names models by their number.
type ruleRow struct {
	Cell
	Arms     []ruleArm `json:"arms"`
	Fallback []int     `json:"fallback,omitempty"`
}

// ruleArm is the number of a model, its weight, what a call costs in cents, the
// number of the reason, and how long a call may take in milliseconds.
type ruleArm [5]float64

// needed reports whether nodes have to know of an arm: who has neither a weight nor
// a place in the fallback order is never asked.
func (r PolicyRow) needed(arm *PolicyArm) bool {
	return arm.Weight > 0 || slices.Contains(r.Fallback, arm.Arm)
}

// fullRules is how many bytes of rows go into one part. It leaves as much again for
// a row that begins below it.
const fullRules = MaxBody / 2

// rulesPacker spreads rows over parts.
type rulesPacker struct {
	head    rules
	parts   []rules
	models  map[Arm]int
	reasons map[string]int
	size    int // of the last part
}

// pack returns rules that have nothing but a head with these rows, in as many parts
// as it takes: one at least.
func (r *rules) pack(rows []*PolicyRow, gone []Cell) ([]rules, error) {
	p := &rulesPacker{head: *r}
	p.begin()
	p.part().Gone = gone
	for _, row := range rows {
		if p.size > fullRules {
			p.begin()
		}
		if err := p.add(row); err != nil {
			return nil, fmt.Errorf("encode the row of %s in policy %d: %w", row.TaskType, r.Version, err)
		}
	}
	for i := range p.parts {
		p.parts[i].Part, p.parts[i].Parts = i+1, len(p.parts)
	}
	return p.parts, nil
}

func (p *rulesPacker) begin() {
	p.parts = append(p.parts, p.head)
	p.models, p.reasons, p.size = map[Arm]int{}, map[string]int{}, 0
}

func (p *rulesPacker) part() *rules { return &p.parts[len(p.parts)-1] }

func (p *rulesPacker) add(row *PolicyRow) error {
	packed := ruleRow{Cell: row.Cell()}
	for i := range row.Arms {
		if arm := &row.Arms[i]; row.needed(arm) {
			packed.Arms = append(packed.Arms, ruleArm{
				float64(p.model(arm.Arm)), arm.Weight, arm.CostCents, float64(p.reason(arm.Why)), float64(arm.TimeoutMillis),
			})
		}
	}
	for _, arm := range row.Fallback {
		packed.Fallback = append(packed.Fallback, p.model(arm))
	}
	encoded, err := json.Marshal(packed)
	if err != nil {
		return err
	}
	p.size += len(encoded) + 1
	p.part().Rows = append(p.part().Rows, packed)
	return nil
}

// model is the number of a model in the part.
func (p *rulesPacker) model(arm Arm) int {
	number, known := p.models[arm]
	if !known {
		number = len(p.part().Models)
		p.part().Models = append(p.part().Models, arm)
		p.models[arm] = number
		p.size += len(arm.Provider) + len(arm.Model) + len(`{"provider":"","model":""},`)
	}
	return number
}

// reason is the number of a reason in the part.
func (p *rulesPacker) reason(why string) int {
	number, known := p.reasons[why]
	if !known {
		number = len(p.part().Reasons)
		p.part().Reasons = append(p.part().Reasons, why)
		p.reasons[why] = number
		p.size += len(why) + len(`"",`)
	}
	return number
}

// unpack returns the policy that the rules are, or are a part of.
func (r *rules) unpack() (*Policy, error) {
	if r.Version <= 0 || r.Part < 1 || r.Part > r.Parts || r.Parts > maxParts {
		return nil, fmt.Errorf("routing_rules are part %d of %d of version %d; expected a part, and a version above 0", r.Part, r.Parts, r.Version)
	}
	policy := &Policy{
		Version: r.Version, MadeAt: r.MadeAt, Mode: r.Mode, Reference: r.Reference, Rows: make([]PolicyRow, 0, len(r.Rows)),
	}
	if r.LeaseCents > 0 {
		policy.Budget = &BudgetAccount{LeaseCents: r.LeaseCents}
	}
	for i := range r.Rows {
		row, err := r.unpackRow(&r.Rows[i])
		if err != nil {
			return nil, fmt.Errorf("routing_rules for %s: %w", r.Rows[i].TaskType, err)
		}
		policy.Rows = append(policy.Rows, row)
	}
	return policy, nil
}

const (
	// maxParts is how many parts a policy may have: 128 MiB of rows.
	maxParts = 1024
	// dayMillis is more than any call may take.
	dayMillis = 24 * 3600 * 1000
)

var errBadNumber = errors.New("it has a number that stands for no model, no reason or no time up to a day")

func (r *rules) unpackRow(packed *ruleRow) (PolicyRow, error) {
	row := PolicyRow{TaskType: packed.TaskType, Bucket: packed.Bucket}
	for _, arm := range packed.Arms {
		model, reason := arm[0], arm[3]
		if !numbers(model, len(r.Models)) || !numbers(reason, len(r.Reasons)) || !numbers(arm[4], dayMillis) {
			return row, errBadNumber
		}
		row.Arms = append(row.Arms, PolicyArm{
			Arm: r.Models[int(model)], Weight: arm[1], CostCents: arm[2], Why: r.Reasons[int(reason)], TimeoutMillis: int64(arm[4]),
		})
	}
	for _, model := range packed.Fallback {
		if !numbers(float64(model), len(r.Models)) {
			return row, errBadNumber
		}
		row.Fallback = append(row.Fallback, r.Models[model])
	}
	return row, nil
}

// numbers reports whether x is the number of one of so many.
func numbers(x float64, many int) bool { return x >= 0 && x < float64(many) && x == float64(int(x)) }
