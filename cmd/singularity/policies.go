package main

import (
	"sync/atomic"

	"singularity"
	"singularity/centralcloud"
)

// policies are what an engine that is yet to be opened learns of choosing models.
type policies struct {
	engine atomic.Pointer[singularity.Engine]
}

func (p *policies) follow(engine *singularity.Engine) { p.engine.Store(engine) }

// current is the policy to choose by; nil for none.
func (p *policies) current() *centralcloud.Policy {
	engine := p.engine.Load()
	if engine == nil {
		return nil
	}
	return engine.Policy()
}
