package singularity

import "singularity/persistence"

// Tokens are those of the API, for a server that others can reach.
func (e *Engine) Tokens() persistence.Tokens { return e.store }
