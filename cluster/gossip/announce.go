package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// spreading bounds the wait until what this member says has been passed on.
	spreading = 5 * time.Second
	// sayAgain is when it is said again.
	sayAgain = time.Second
)

// Update changes what this member says about itself, and returns when that has
// been passed on to others, or at the context's deadline, after 5s at most, with
// an error. Then it spreads all the same, if late. Metadata that is too large is
// refused and changes nothing: in JSON it may have 512 bytes, the instance
// included.
func (g *Gossip) Update(ctx context.Context, meta Meta) error {
	if err := g.takeTurn(ctx); err != nil {
		return fmt.Errorf("update the metadata: %w", err)
	}
	defer g.endTurn()
	if err := g.say(ctx, card{Instance: g.cfg.Instance, Meta: meta}); err != nil {
		return fmt.Errorf("update the metadata: %w", err)
	}
	return nil
}

// Leave announces that this member leaves, waits until that has been passed on
// to others, leaves and closes. To the others it has [Left]. An error says that
// they may not all have heard of it by the context's deadline, or within 10s; it
// is closed all the same. A member that was closed leaves without doing anything.
func (g *Gossip) Leave(ctx context.Context) error {
	g.turn <- struct{}{}
	defer g.endTurn()
	if g.closed {
		return nil
	}
	said, err := decode(*g.inbox.card.Load())
	if err == nil {
		said.Leaving = true
		err = g.say(ctx, said)
	}
	if err = errors.Join(err, g.list.Leave(patience(ctx, spreading))); err != nil {
		err = fmt.Errorf("leave the cluster: %w", err)
	}
	return errors.Join(err, g.close())
}

// say makes the member say something else about itself. It needs the turn, as
// memberlist would let the older of two cards win.
func (g *Gossip) say(ctx context.Context, c card) error {
	encoded, err := c.encode()
	if err != nil {
		return err
	}
	g.inbox.card.Store(&encoded)
	ctx, cancel := context.WithTimeout(ctx, spreading)
	defer cancel()
	for {
		// Memberlist drops what is said while it denies a rumour that this member
		// is dead, so it is said again.
		err := g.list.UpdateNode(patience(ctx, sayAgain))
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func (g *Gossip) takeTurn(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if g.closed {
		g.endTurn()
		return ErrClosed
	}
	return nil
}

func (g *Gossip) endTurn() { <-g.turn }

// patience is the time until a context's deadline, of a limit at most, as
// memberlist wants it: zero would be for ever.
func patience(ctx context.Context, limit time.Duration) time.Duration {
	if deadline, limited := ctx.Deadline(); limited {
		return min(max(time.Until(deadline), time.Nanosecond), limit)
	}
	return limit
}
