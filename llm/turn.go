package llm

import (
	"context"
	"slices"
)

// turn is whom an attempt at a call asks.
type turn struct {
	target *target
	probe  bool // it finds out for the breaker whether the model answers again
}

// end is called however the attempt ends.
func (t turn) end() {
	if t.probe {
		t.target.breaker.release()
	}
}

// choice is a choice with who is asked in the place of who was chosen.
func (t turn) choice(made Choice) Choice {
	if made.arm() != t.target.Arm() {
		made.Provider, made.Model, made.Tier = t.target.Provider, t.target.Name, t.target.Tier
	}
	return made
}

// order lists whom this node may ask for a call: the chosen model, then those
// that may stand in for it. It is empty when this node has none of them.
func (r *Router) order(call *Call) []*target {
	chosen, tokens := call.Choice.arm(), tokensOf(call.Messages)
	var order []*target
	if r.providers[chosen.Provider] != nil {
		order = append(order, r.target(chosen))
	}
	for _, arm := range call.Choice.Fallback {
		if target := r.targets[arm]; target != nil && arm != chosen && target.holds(tokens) {
			order = append(order, target)
		}
	}
	return order
}

// nextTurn is the turn of an attempt: each one begins one further down the order
// than the one before it, and goes on from there to whoever's breaker lets it
// through. When none does, the first is asked all the same.
func nextTurn(order []*target, attempt int) turn {
	for i := range order {
		target := order[(max(attempt-1, 0)+i)%len(order)]
		if probe, admitted := target.breaker.admit(); admitted {
			return turn{target, probe}
		}
	}
	return turn{target: order[0]}
}

// elsewhere reports whether the order leads to another provider.
func elsewhere(order []*target, provider string) bool {
	return slices.ContainsFunc(order, func(target *target) bool { return target.Provider != provider })
}

// heard tells breakers how a call ended. A key that is refused is refused for all
// models of the provider.
func (r *Router) heard(ctx context.Context, asked *target, err error) {
	class := ClassOf(err)
	if class.answered() && asked.breaker.answered() {
		r.log.InfoContext(ctx, "model answers again", "provider", asked.Provider, "model", asked.Name)
	}
	if !class.unavailable() {
		return
	}
	for _, target := range r.targets {
		if target != asked && (class != Auth || target.Provider != asked.Provider) {
			continue
		}
		if target.breaker.failed() {
			r.log.WarnContext(ctx, "model does not answer; calls go elsewhere where they can",
				"provider", target.Provider, "model", target.Name, "for", openFor, "class", class)
		}
	}
}

// count counts whom the call asks in the place of the model that was chosen.
func (t *target) count(choice Choice, fallback bool) {
	switch {
	case choice.PolicyVersion == limitedPolicy:
		t.choices[byLimit].Add(1)
	case fallback:
		t.choices[byFallback].Add(1)
	}
}
