package singularity

import (
	"singularity/actors"
	"singularity/centralcloud"
)

// CentralCloud is how an engine takes part in what all engines learn: its queue to
// the hub, and how often it is used. Whoever opened the queue closes it, after the
// engine.
type CentralCloud = actors.CentralCloud

// Learned is what the hub has taught this engine so far. It is never nil, does not
// change, and is another one after the next lesson: ask for it where it is used.
// While the hub cannot be reached, and after a restart, it is what was known last.
func (e *Engine) Learned() *centralcloud.Learned { return e.node.Learned() }

// Policy is the policy by which to choose models, as the hub taught it; nil for none.
// It costs next to nothing, so that each choice may ask for it.
func (e *Engine) Policy() *centralcloud.Policy { return e.node.Learned().Policy }
