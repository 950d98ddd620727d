package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/centralcloud"
)

// Hub leads, or waits until it may. See the package comment.
type Hub struct {
	config Config
}

// New returns a hub that does nothing until it runs.
func New(config Config) (*Hub, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configure the hub: %w", err)
	}
	return &Hub{config.withDefaults()}, nil
}

// Run makes the queue of updates and works until ctx ends, whatever the database
// does meanwhile. It is to be called once.
func (h *Hub) Run(ctx context.Context) {
	for wait := time.Duration(0); ; wait = look {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := h.lead(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, ErrNotLeading):
		default:
			h.config.Logger.ErrorContext(ctx, "the hub starts again", "error", err)
		}
	}
}

// lead takes the lead and has it until something fails.
func (h *Hub) lead(ctx context.Context) error {
	lead, err := h.config.Store.Lead(ctx, h.config.Name, term)
	if err != nil {
		return err
	}
	defer h.resign(ctx, lead)
	for _, queue := range []string{centralcloud.UpdatesQueue, centralcloud.DeadUpdatesQueue} {
		if err := h.config.Store.CreateQueue(ctx, queue); err != nil {
			return err
		}
	}
	tenure, err := h.begin(ctx, lead)
	if err != nil {
		return err
	}
	h.config.Logger.InfoContext(ctx, "this hub leads", "epoch", lead.Epoch, "policy", tenure.policy.Version, "cells", tenure.policy.Cells())
	return tenure.run(ctx)
}

// resign lets the next leader begin at once. When it fails, that one waits for
// the end of the term.
func (h *Hub) resign(ctx context.Context, lead Lead) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), look)
	defer cancel()
	if err := h.config.Store.Resign(ctx, lead); err != nil && !errors.Is(err, ErrNotLeading) {
		h.config.Logger.WarnContext(ctx, "the next hub leads only when the term of this one is over", "error", err)
	}
}
