package llm

import (
	"sync/atomic"
	"time"

	"singularity/centralcloud"
)

// target is a model that this node can ask, with what the node remembers of it.
type target struct {
	Model
	breaker breaker
	choices [grounds]atomic.Int64
}

// ground is why a model was chosen.
type ground int

const (
	byPolicy   ground = iota
	byTable           // there was no policy to go by
	byFallback        // the one that was chosen did not answer
	byLimit           // the one that was chosen could have cost too much
	grounds
)

func (g ground) String() string {
	return [grounds]string{"policy", "static", "fallback", "spending_limit"}[g]
}

func newTarget(model Model) *target {
	return &target{Model: model, breaker: breaker{began: time.Now()}}
}

// ready reports whether the model may be asked about so many tokens now.
func (t *target) ready(tokens int64) bool { return t.holds(tokens) && t.breaker.ready() }

// target is what is known of a model. Of one that is not in the table, as another
// node may have chosen it, nothing is.
func (r *Router) target(arm centralcloud.Arm) *target {
	if known := r.targets[arm]; known != nil {
		return known
	}
	return newTarget(Model{Provider: arm.Provider, Name: arm.Model})
}
