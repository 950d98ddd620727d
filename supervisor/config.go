package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	defaultMaxRestarts = 10
	defaultWindow      = time.Minute
	defaultShutdown    = 5 * time.Second
)

// Config holds the settings of a supervisor. The zero value is a good one.
type Config struct {
	// Strategy says which children restart together. Defaults to OneForOne.
	Strategy Strategy
	// MaxRestarts is how many restarts of children within Window the supervisor
	// makes; instead of one more it stops all its children and fails. The restart
	// of a group counts once. Negative means none. Defaults to 10.
	MaxRestarts int
	// Window is the time in which restarts are counted, and the time that a child
	// has to run for its Backoff to start over. Defaults to 1m.
	Window time.Duration
	// Logger receives failures, restarts and children left behind. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxRestarts == 0 {
		c.MaxRestarts = defaultMaxRestarts
	}
	if c.Window == 0 {
		c.Window = defaultWindow
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.Strategy < OneForOne || c.Strategy > RestForOne {
		errs = append(errs, fmt.Errorf("invalid Strategy %s, want one of OneForOne, OneForAll, RestForOne", c.Strategy))
	}
	if c.Window < 0 {
		errs = append(errs, fmt.Errorf("invalid Window %s, want a positive duration", c.Window))
	}
	return errors.Join(errs...)
}
