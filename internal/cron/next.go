package cron

import "time"

// horizon is how far Next looks. The rarest day, February 29th, may be eight
// years away.
const horizon = 9 * 366 * 24 * time.Hour

// wildcard is the bit by which robfig's parser marks a field that was * or ?.
const wildcard = 1 << 63

// Next returns the first slot after an instant. It is false when there is none:
// the schedule never fires.
func (s Schedule) Next(after time.Time) (slot time.Time, fires bool) {
	switch {
	case s.every > 0:
		return s.nextEvery(after), true
	case s.fields == nil:
		return time.Time{}, false
	}
	from := after.Truncate(time.Second).Add(time.Second)
	for at := from.In(s.zone); at.Sub(from) < horizon; {
		skip := s.skip(at)
		if skip == 0 {
			return at.UTC(), true
		}
		next := at.Add(skip)
		// Where the clock is put on or back, what was skipped is another time.
		if _, end := at.ZoneBounds(); !end.IsZero() && next.After(end) {
			next = end.In(s.zone)
		}
		at = next
	}
	return time.Time{}, false
}

// skip is how long no slot can be, from an instant on, as long as the clock goes
// evenly; zero when the instant is one.
func (s Schedule) skip(at time.Time) time.Duration {
	hour, minute, second := at.Clock()
	switch {
	case !has(s.fields.Month, int(at.Month())) || !s.onDay(at):
		return 24*time.Hour - clock(hour, minute, second)
	case !has(s.fields.Hour, hour):
		return time.Hour - clock(0, minute, second)
	case !has(s.fields.Minute, minute):
		return time.Minute - clock(0, 0, second)
	case !has(s.fields.Second, second):
		return time.Second
	default:
		return 0
	}
}

// onDay reports whether the day is one. Of a day of the month and a day of the
// week that are both given, one is enough, as cron has always had it.
func (s Schedule) onDay(at time.Time) bool {
	month, week := has(s.fields.Dom, at.Day()), has(s.fields.Dow, int(at.Weekday()))
	if (s.fields.Dom|s.fields.Dow)&wildcard != 0 {
		return month && week
	}
	return month || week
}

func has(field uint64, value int) bool { return field&(1<<value) != 0 }

func clock(hour, minute, second int) time.Duration {
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
}

// nextEvery is the first multiple of the interval after an instant, from the
// anchor on.
func (s Schedule) nextEvery(after time.Time) time.Time {
	anchor := s.anchor
	if anchor.IsZero() {
		anchor = time.Unix(0, 0)
	}
	passed := max(after.Sub(anchor), 0)
	return anchor.Add(passed - passed%s.every + s.every).UTC()
}
