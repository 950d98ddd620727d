package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Child says how to start, restart and stop an actor. Name and Props are required.
type Child struct {
	// Name is unique among the children of a supervisor.
	Name string
	// PID is the actor id of the child, such as "journal" or "run/17". Defaults to
	// the id of the supervisor, a slash, and Name.
	PID string
	// Props returns the props of the next incarnation: start is 0 at first, 1 at
	// the first restart, and so on. It runs inside the supervisor and must not
	// block; what takes time belongs where the actor handles *actor.Started. The
	// mailbox and the spawn function that the props may have are not used: the
	// mailbox is unbounded, because a supervisor must not block on it.
	Props func(start int) *actor.Props
	// Restart says after which ends the child is started again. Defaults to
	// Permanent.
	Restart Restart
	// Shutdown is how long a stop waits for the child before it goes on without it.
	// Defaults to 5s; for a child that is itself a supervisor or pool, which never
	// blocks and bounds the stop of each of its children, to no limit. In a pool it
	// defaults to the pool's.
	Shutdown time.Duration
	// Backoff delays restarts. In a pool it defaults to the pool's.
	Backoff Backoff
}

// id returns the actor id of the child below the given supervisor.
func (c *Child) id(supervisor string) string {
	if c.PID != "" {
		return c.PID
	}
	return supervisor + "/" + c.Name
}

func (c *Child) validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("no Name"))
	}
	if c.Props == nil {
		errs = append(errs, errors.New("no Props"))
	}
	if c.Restart < Permanent || c.Restart > Temporary {
		errs = append(errs, fmt.Errorf("invalid Restart %s, want one of Permanent, Transient, Temporary", c.Restart))
	}
	if c.Shutdown < 0 {
		errs = append(errs, fmt.Errorf("invalid Shutdown %s, want a positive duration", c.Shutdown))
	}
	if err := c.Backoff.validate(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("child %q: %w", c.Name, err)
	}
	return nil
}

// validateAll checks each child and that no two claim the same name or id.
func validateAll(children []Child) error {
	var errs []error
	names, ids := make(map[string]bool), make(map[string]bool)
	for i := range children {
		c := &children[i]
		if err := c.validate(); err != nil {
			errs = append(errs, err)
		}
		if c.Name != "" && names[c.Name] {
			errs = append(errs, fmt.Errorf("child %q: another child has this Name", c.Name))
		}
		if c.PID != "" && ids[c.PID] {
			errs = append(errs, fmt.Errorf("child %q: another child has the PID %q", c.Name, c.PID))
		}
		names[c.Name], ids[c.PID] = true, true
	}
	return errors.Join(errs...)
}
