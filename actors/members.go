package actors

import (
	"context"

	"singularity/persistence"
)

// Instance is the label that people know the process by.
func (n *Node) Instance() string { return n.cfg.Instance }

// Members lists the instances that use the store, the latest heartbeat first.
func (n *Node) Members(ctx context.Context) ([]persistence.Member, error) {
	return n.store.Members(ctx)
}

// Takeovers lists boots that were declared dead, the latest first.
func (n *Node) Takeovers(ctx context.Context, limit int) ([]persistence.Takeover, error) {
	return n.store.Takeovers(ctx, limit)
}
