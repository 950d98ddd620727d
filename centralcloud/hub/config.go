package hub

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"singularity/centralcloud/learner"
)

// Config says how a [Hub] learns. The zero value of a field that has a default
// is that.
type Config struct {
	Store Store
	// Name tells the hub from all others that ever use the store. Required.
	Name string
	// Learner is what operators choose. Its reference is required.
	Learner learner.Config
	// Prices are those of all models, as of now. Those of the store are kept as
	// history.
	Prices []learner.Price

	// Every is how often a policy is made. Defaults to 10s.
	Every time.Duration
	// PatternsEvery is how often patterns are looked for, at most. Defaults to 5m.
	PatternsEvery time.Duration
	// Away is how long a node is not heard of before it gets nothing more, until it
	// sends an update again. Defaults to 2m.
	Away time.Duration
	// Gone is how long a node is not heard of before its queue is dropped.
	// Defaults to 24h.
	Gone time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

const (
	// refresh is how often a policy is published that has only other estimates:
	// nodes stop trying things out when theirs is old.
	refresh = time.Minute
	// late is how old the epoch of a row may be.
	late = 24 * time.Hour
	// forgotten is how old sums of an hour, samples and policies are when they are
	// forgotten, and repeatsForgotten policies that said nothing new.
	forgotten        = 30 * 24 * time.Hour
	repeatsForgotten = 24 * time.Hour
)

// look is how often a hub looks where the store does not tell of news: a leader for
// messages, everybody else for a leader that is gone.
func (c Config) look() time.Duration { return min(time.Second, c.Every) }

// turn is how often a hub that waits for the lead looks for a leader that died. One
// that resigns is heard of.
func (c Config) turn() time.Duration { return min(5*time.Second, c.Every) }

// term is how long a lead lasts unless it is prolonged. For as long, nobody leads
// after a leader died.
func (c Config) term() time.Duration { return c.Every + 5*time.Second }

func (c Config) withDefaults() Config {
	if c.Every == 0 {
		c.Every = 10 * time.Second
	}
	if c.PatternsEvery == 0 {
		c.PatternsEvery = 5 * time.Minute
	}
	if c.Away == 0 {
		c.Away = 2 * time.Minute
	}
	if c.Gone == 0 {
		c.Gone = 24 * time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Store == nil {
		report("Store is nil; expected the database of the hub")
	}
	if c.Name == "" {
		report("Name is empty; expected one that no other hub has")
	}
	for field, d := range map[string]time.Duration{"Every": c.Every, "PatternsEvery": c.PatternsEvery, "Away": c.Away, "Gone": c.Gone} {
		if d < 0 {
			report("%s is %s; expected a positive time, or 0 for the default", field, d)
		}
	}
	if err := c.Learner.Validate(learner.Prices{}.With(time.Unix(0, 0), c.Prices...), time.Now()); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
