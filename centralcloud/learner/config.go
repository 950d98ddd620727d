package learner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
)

// Config is what operators choose. The zero value of each field but Reference
// is useful.
type Config struct {
	// Mode is what the policy aims at. Defaults to reference.
	Mode centralcloud.Mode `json:"mode"`
	// Reference is the arm that others are held against, and the one that is
	// used when nothing else may be. It needs a price.
	Reference centralcloud.Arm `json:"reference"`
	// Delta is how much less success than the reference's is as good, in
	// reference mode. Defaults to 0.03.
	Delta float64 `json:"delta"`
	// CostWeight is the success that a call of the reference arm is worth, in
	// utility mode, and the least one in budget mode. Defaults to 0.1.
	CostWeight float64 `json:"cost_weight"`
	// HourlyBudget is what budget mode may spend in an hour, in nano-dollars.
	HourlyBudget int64 `json:"hourly_budget_nanodollars,omitempty"`

	// HalfLife is the age at which a call counts half. Defaults to 1h.
	HalfLife time.Duration `json:"half_life"`
	// Temper scales how far draws stray from the estimates. Defaults to 0.7.
	Temper float64 `json:"temper"`
	// Exploration is the share of calls that is spread over all allowed arms, so
	// that recoveries are noticed. Defaults to 0.01; negative for none.
	Exploration float64 `json:"exploration"`
	// MaxExploration bounds what arms other than the favourite get in all, for
	// tasks with at least 100 judged calls. Defaults to 0.1.
	MaxExploration float64 `json:"max_exploration"`
	// MaxMove is how much weight a row may move from one policy to the next,
	// see [Next]. Defaults to 0.2.
	MaxMove float64 `json:"max_move"`

	Rules Rules `json:"rules"` // for all tasks
	// Tasks are rules for single task types. What they set takes the place of
	// what Rules has.
	Tasks map[string]Rules `json:"tasks,omitempty"`
	// Arms says what is known of arms besides their price.
	Arms []ArmFacts `json:"arms,omitempty"`
}

// Rules are guardrails: what no estimate may overrule.
type Rules struct {
	// SuccessFloor drops arms that certainly succeed less often.
	SuccessFloor float64 `json:"success_floor,omitempty"`
	// Latency drops arms that certainly answer too seldom within a time.
	Latency LatencyTarget `json:"latency,omitzero"`
	// PriceCap drops arms whose calls probably cost more, in nano-dollars.
	PriceCap int64 `json:"price_cap_nanodollars,omitempty"`

	Allow []centralcloud.Arm `json:"allow,omitempty"` // these arms and no other
	Deny  []centralcloud.Arm `json:"deny,omitempty"`
	Pin   *centralcloud.Arm  `json:"pin,omitempty"` // this arm, whatever is learned

	// What a call needs: room for so many tokens, tools, answers in JSON, a
	// place of processing. Arms of which that is not known do not qualify.
	Context int64  `json:"context_tokens,omitempty"`
	Tools   bool   `json:"tools,omitempty"`
	JSON    bool   `json:"json,omitempty"`
	Region  string `json:"region,omitempty"`

	// Critical tasks are not explored on: they get the favourite arm, always.
	Critical bool `json:"critical,omitempty"`
}

// LatencyTarget asks for a share of answers within a limit.
type LatencyTarget struct {
	Limit time.Duration `json:"limit,omitempty"`
	Share float64       `json:"share,omitempty"` // Defaults to 0.95.
}

// ArmFacts is what is known of an arm.
type ArmFacts struct {
	centralcloud.Arm
	// Prior is the success to expect of it while nothing was seen, by a public
	// benchmark or its tier. It weighs little. Defaults to 0.5.
	Prior   float64 `json:"prior,omitempty"`
	Context int64   `json:"context_tokens,omitempty"`
	Tools   bool    `json:"tools,omitempty"`
	JSON    bool    `json:"json,omitempty"`
	Region  string  `json:"region,omitempty"`
}

func (c Config) withDefaults() Config {
	c.Mode = orDefault(c.Mode, centralcloud.Reference)
	c.Delta = orDefault(c.Delta, 0.03)
	c.CostWeight = orDefault(c.CostWeight, 0.1)
	c.HalfLife = orDefault(c.HalfLife, time.Hour)
	c.Temper = orDefault(c.Temper, 0.7)
	c.Exploration = max(0, orDefault(c.Exploration, 0.01))
	c.MaxExploration = orDefault(c.MaxExploration, 0.1)
	c.MaxMove = orDefault(c.MaxMove, 0.2)
	return c
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Validate returns every problem of the configuration at these prices.
func (c Config) Validate(prices Prices, now time.Time) error {
	c = c.withDefaults()
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	share := func(field string, value float64) {
		if !(value >= 0 && value <= 1) {
			report("%s: is %v; expected 0 to 1", field, value)
		}
	}
	switch c.Mode {
	case centralcloud.Reference, centralcloud.Utility:
	case centralcloud.Budget:
		if c.HourlyBudget <= 0 {
			report("hourly_budget_nanodollars: is %d; budget mode needs a positive one", c.HourlyBudget)
		}
	default:
		report("mode: is %q; expected reference, utility or budget", c.Mode)
	}
	if _, found := prices.at(c.Reference, now.Unix()); !found {
		report("reference: %s has no price; expected an arm of the price table", c.Reference)
	}
	share("delta", c.Delta)
	share("exploration", c.Exploration)
	share("max_exploration", c.MaxExploration)
	share("max_move", c.MaxMove)
	if !(c.CostWeight >= 0) || !(c.Temper > 0) || c.HalfLife <= 0 {
		report("cost_weight, temper, half_life: are %v, %v, %v; expected positive numbers", c.CostWeight, c.Temper, c.HalfLife)
	}
	share("rules.success_floor", c.Rules.SuccessFloor)
	share("rules.latency.share", c.Rules.Latency.Share)
	for name, rules := range c.Tasks {
		share("tasks["+name+"].success_floor", rules.SuccessFloor)
		share("tasks["+name+"].latency.share", rules.Latency.Share)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("configure the learner: %w", err)
	}
	return nil
}

// rules returns the guardrails of a task type.
func (c Config) rules(taskType string) Rules {
	rules, own := c.Rules, c.Tasks[taskType]
	rules.SuccessFloor = orDefault(own.SuccessFloor, rules.SuccessFloor)
	rules.Latency = orDefault(own.Latency, rules.Latency)
	rules.Latency.Share = orDefault(rules.Latency.Share, 0.95)
	rules.PriceCap = orDefault(own.PriceCap, rules.PriceCap)
	rules.Pin = orDefault(own.Pin, rules.Pin)
	rules.Context = orDefault(own.Context, rules.Context)
	rules.Region = orDefault(own.Region, rules.Region)
	rules.Tools = rules.Tools || own.Tools
	rules.JSON = rules.JSON || own.JSON
	rules.Critical = rules.Critical || own.Critical
	if len(own.Allow) > 0 {
		rules.Allow = own.Allow
	}
	rules.Deny = slices.Concat(rules.Deny, own.Deny)
	return rules
}

func (c Config) facts(arm centralcloud.Arm) ArmFacts {
	i := slices.IndexFunc(c.Arms, func(facts ArmFacts) bool { return facts.Arm == arm })
	if i < 0 {
		return ArmFacts{Arm: arm}
	}
	return c.Arms[i]
}

// hash names the configuration in policies.
func (c Config) hash() string {
	document, err := json.Marshal(c)
	if err != nil { // only of numbers that are none
		return "invalid: " + err.Error()
	}
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:8])
}
