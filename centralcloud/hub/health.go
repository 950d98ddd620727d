package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Ready returns nil while the hub leads, or waits for its turn to, and else why it
// does neither.
func (h *Hub) Ready(context.Context) error { return h.health.check(2 * h.config.term()) }

// health is how a hub fared with its store.
type health struct{ last atomic.Pointer[outcome] }

// outcome is that of a tick, or of asking for the lead.
type outcome struct {
	ended time.Time
	err   error
}

func (h *health) note(err error) { h.last.Store(&outcome{time.Now(), err}) }

// check explains what went wrong last, or that nothing has come to an end for long.
func (h *health) check(patience time.Duration) error {
	last := h.last.Load()
	switch {
	case last == nil:
		return errors.New("the hub has not begun: it does not reach its database yet, or reads what is in there")
	case last.err != nil:
		return fmt.Errorf("the hub does not lead, nor wait for its turn: %w", last.err)
	case time.Since(last.ended) > patience:
		return fmt.Errorf("the hub has come to nothing for %s; its database may not answer", time.Since(last.ended).Round(time.Second))
	default:
		return nil
	}
}
