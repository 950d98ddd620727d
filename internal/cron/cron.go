// Package cron says when a cron expression is due. A slot is an instant: of an
// hour that comes twice, as clocks are put back, both have their slots, and one
// that is left out has none.
//
// Expressions are read by robfig's parser. When they are due is found here, zone
// period by zone period, so that it is right in zones that move by half an hour,
// too. Time zones are part of the program.
package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // where the machine has none, and the same everywhere

	"github.com/robfig/cron/v3"
)

// Schedule is a parsed expression. The zero value never fires.
type Schedule struct {
	fields *cron.SpecSchedule // nil for @every
	zone   *time.Location
	every  time.Duration
	anchor time.Time
}

const form = "expected five fields, as in \"30 9 * * 1-5\" (minute, hour, day of month, month, day of week), " +
	"six with seconds before them, @hourly and its like, or @every 90s"

var parser = cron.NewParser(
	cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Parse reads an expression. Its fields are those of a clock in the time zone,
// which is a name such as Europe/Berlin; empty is UTC.
func Parse(expression, zone string) (Schedule, error) {
	location, err := Zone(zone)
	if err != nil {
		return Schedule{}, err
	}
	expression = strings.TrimSpace(expression)
	if interval, ok := strings.CutPrefix(expression, "@every "); ok {
		return parseEvery(interval)
	}
	if strings.Contains(expression, "TZ=") {
		return Schedule{}, fmt.Errorf("%q names a time zone, which the schedule has beside its expression; leave it out here", expression)
	}
	fields, err := parse(expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("%q is no cron expression: %w; %s", expression, err, form)
	}
	return Schedule{fields: fields, zone: location}, nil
}

// Zone finds a time zone by its name; empty is UTC. Local is none: each machine
// would take it for another one.
func Zone(name string) (*time.Location, error) {
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("%q is no time zone; expected a name as in the tz database, such as UTC or Europe/Berlin", name)
	}
	return location, nil
}

// parse guards against the panics of the library.
func parse(expression string) (fields *cron.SpecSchedule, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = errors.New("it cannot be read")
		}
	}()
	parsed, err := parser.Parse(expression)
	if err != nil {
		return nil, err
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("it has no fields")
	}
	return fields, nil
}

func parseEvery(interval string) (Schedule, error) {
	every, err := time.ParseDuration(strings.TrimSpace(interval))
	switch {
	case err != nil:
		return Schedule{}, fmt.Errorf("@every %s: %q is no duration; expected one such as 90s or 1h30m", interval, interval)
	case every < time.Second, every%time.Second != 0:
		return Schedule{}, fmt.Errorf("@every %s: expected whole seconds, and at least one", interval)
	}
	return Schedule{every: every}, nil
}

// From is the schedule with the instant from which an @every counts, which
// defaults to the Unix epoch; other expressions have no use for it.
func (s Schedule) From(anchor time.Time) Schedule {
	s.anchor = anchor
	return s
}
