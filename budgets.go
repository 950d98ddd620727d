package singularity

import "singularity/persistence"

// Budgets keep what was spent against limits, over all nodes on the engine's
// store. Whoever spends says what.
func (e *Engine) Budgets() persistence.Budgets { return e.store }
