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
	config  Config
	metrics *instruments
	health  health
}

// New returns a hub that does nothing until it runs.
func New(config Config) (*Hub, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configure the hub: %w", err)
	}
	return &Hub{config: config.withDefaults(), metrics: newInstruments()}, nil
}

// Run works until ctx ends, whatever the database does meanwhile.
func (h *Hub) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := h.lead(ctx)
		h.metrics.leaves()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrNotLeading):
			h.health.note(nil)
			h.config.await(ctx, h.config.turn())
		default:
			h.health.note(err)
			h.config.Logger.ErrorContext(ctx, "the hub begins again", "error", err)
			pause(ctx, h.config.look())
		}
	}
}

// lead takes the lead and has it until ctx ends or something fails.
func (h *Hub) lead(ctx context.Context) error {
	lead, err := h.config.Store.Lead(ctx, h.config.Name, h.config.term())
	if err != nil {
		return err
	}
	defer h.resign(ctx, lead)
	for _, queue := range []string{centralcloud.UpQueue, centralcloud.DeadUp, centralcloud.DeadDown} {
		if err := h.config.Store.CreateQueue(ctx, queue); err != nil {
			return err
		}
	}
	t, err := begin(ctx, h.config, lead)
	if err != nil {
		return err
	}
	t.metrics, t.health = h.metrics, &h.health
	t.metrics.leads.Set(1)
	h.config.Logger.InfoContext(ctx, "this hub leads", "lead", lead.Epoch, "instances", len(t.instances))
	return t.run(ctx)
}

// resign lets the next leader begin at once. When it fails, that one waits for
// the end of the term.
func (h *Hub) resign(ctx context.Context, lead Lead) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := h.config.Store.Resign(ctx, lead); err != nil && !errors.Is(err, ErrNotLeading) {
		h.config.Logger.WarnContext(ctx, "the next hub leads only when the term of this one is over", "error", err)
	}
}
