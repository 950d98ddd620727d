package cron_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/internal/cron"
)

func parse(t testing.TB, expression, zone string) cron.Schedule {
	t.Helper()
	schedule, err := cron.Parse(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	return schedule
}

func TestParseSaysWhatIsWrongAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expression, zone string
		want             []string
	}{
		{"", "", []string{"no cron expression", "five fields"}},
		{"* * *", "", []string{"found 3", "five fields"}},
		{"1 2 3 4 5 6 7", "", []string{"found 7", "six with seconds"}},
		{"61 * * * *", "", []string{"61", "above maximum (59)"}},
		{"* * * * MOO", "", []string{"MOO", "five fields"}},
		{"*/0 * * * *", "", []string{"step of range"}},
		{"@fortnightly", "", []string{"@fortnightly", "@hourly"}},
		{"TZ=Europe/Berlin 0 9 * * *", "", []string{"TZ=", "leave it out"}},
		{"CRON_TZ=UTC 0 9 * * *", "", []string{"leave it out"}},
		{"TZ=", "", []string{"leave it out"}},
		{"@every 999ms", "", []string{"999ms", "at least one"}},
		{"@every 1500ms", "", []string{"whole seconds"}},
		{"@every -1s", "", []string{"at least one"}},
		{"@every soon", "", []string{`"soon" is no duration`, "90s"}},
		{"0 9 * * *", "Europe/Atlantis", []string{"Europe/Atlantis", "Europe/Berlin"}},
		{"0 9 * * *", "Local", []string{"Local", "UTC"}},
		{"0 9 * * *", "../etc/passwd", []string{"is no time zone"}},
	} {
		_, err := cron.Parse(test.expression, test.zone)
		if err == nil {
			t.Errorf("%q in %q was taken", test.expression, test.zone)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q in %q: error %q does not say %q", test.expression, test.zone, err, part)
			}
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, expression, zone, after string
		want                          []string
	}{
		{"every minute", "* * * * *", "", "2026-03-01T10:00:00Z", []string{"2026-03-01T10:01:00Z", "2026-03-01T10:02:00Z"}},
		{"with seconds", "*/20 * * * * *", "", "2026-03-01T10:00:00.5Z", []string{"2026-03-01T10:00:20Z", "2026-03-01T10:00:40Z", "2026-03-01T10:01:00Z"}},
		{"in a zone", "30 9 * * MON-FRI", "Europe/Berlin", "2026-03-27T12:00:00Z", []string{"2026-03-30T07:30:00Z", "2026-03-31T07:30:00Z"}},
		{"descriptor", "@daily", "Asia/Kolkata", "2026-03-01T00:00:00Z", []string{"2026-03-01T18:30:00Z"}},
		{"day of month or week", "0 0 13 * FRI", "", "2026-03-01T00:00:00Z", []string{"2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"}},
		{"day of month alone", "0 0 13 * *", "", "2026-03-01T00:00:00Z", []string{"2026-03-13T00:00:00Z", "2026-04-13T00:00:00Z"}},
		{"February 29th", "0 0 29 2 *", "", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{"doubled hour fires twice", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"}},
		{"hourly has no gap in a doubled hour", "0 * * * *", "America/New_York", "2026-11-01T04:30:00Z", []string{"2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"}},
		{"missing hour does not fire", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", []string{"2026-03-09T06:30:00Z"}},
		{"hourly has no gap in a missing hour", "0 * * * *", "America/New_York", "2026-03-08T06:30:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"}},
		{"midnight that is missing", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-07T03:00:00Z"}},
		{"after a missing midnight", "0 1 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T04:00:00Z"}},
		{"half an hour put on", "0 3 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", []string{"2026-10-03T16:00:00Z"}},
		{"half an hour that is missing", "15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", []string{"2026-10-04T15:15:00Z"}},
		{"half an hour put back", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"}},
		{"day that was left out", "0 12 30 * *", "Pacific/Apia", "2011-12-01T00:00:00Z", []string{"2012-01-29T22:00:00Z"}},
		{"zone of minutes", "0 0 * * *", "Asia/Kathmandu", "2026-03-01T00:00:00Z", []string{"2026-03-01T18:15:00Z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			schedule, at := parse(t, test.expression, test.zone), instant(t, test.after)
			var got []string
			for range test.want {
				next, fires := schedule.Next(at)
				if !fires {
					break
				}
				got, at = append(got, next.Format(time.RFC3339)), next
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("after %s came\n%q, want\n%q", test.after, got, test.want)
			}
		})
	}
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestImpossibleDateNeverFires(t *testing.T) {
	t.Parallel()
	for _, schedule := range []cron.Schedule{parse(t, "0 0 30 2 *", ""), {}} {
		if next, fires := schedule.Next(time.Now()); fires {
			t.Errorf("fires at %s", next)
		}
	}
}

func TestEveryCountsFromItsAnchor(t *testing.T) {
	t.Parallel()
	anchor := instant(t, "2026-03-01T10:00:07.25Z")
	schedule := parse(t, "@every 1m30s", "Europe/Berlin").From(anchor)
	for after, want := range map[string]string{
		"2026-03-01T09:00:00Z":    "2026-03-01T10:01:37.25Z",
		"2026-03-01T10:00:07.25Z": "2026-03-01T10:01:37.25Z",
		"2026-03-01T10:01:37.25Z": "2026-03-01T10:03:07.25Z",
		"2026-03-01T10:03:07Z":    "2026-03-01T10:03:07.25Z",
	} {
		if next, _ := schedule.Next(instant(t, after)); !next.Equal(instant(t, want)) {
			t.Errorf("after %s comes %s, want %s", after, next, want)
		}
	}
}

// Beside days on which clocks are changed, what Next finds is what looking at
// every single minute finds.
func TestNextAgreesWithLookingAtEveryMinute(t *testing.T) {
	t.Parallel()
	expressions := []string{"*/7 * * * *", "0 * * * *", "30 0-3 * * *", "15,45 1,2 * * SUN", "59 23 * * *", "0 0 * * *"}
	for zone, begin := range map[string]string{
		"America/New_York":    "2026-10-31T00:00:00Z",
		"Europe/Berlin":       "2026-03-28T00:00:00Z",
		"Australia/Lord_Howe": "2026-04-04T00:00:00Z",
		"America/Santiago":    "2026-09-05T00:00:00Z",
		"Africa/Casablanca":   "2026-02-14T00:00:00Z",
		"Antarctica/Troll":    "2026-03-28T00:00:00Z",
	} {
		location, err := cron.Zone(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, expression := range expressions {
			schedule, from := parse(t, expression, zone), instant(t, begin)
			next, _ := schedule.Next(from)
			for minute := range 3 * 24 * 60 {
				at := from.Add(time.Duration(minute+1) * time.Minute)
				due := at.Equal(next)
				if want := matches(expression, at.In(location)); due != want {
					t.Fatalf("%q in %s at %s: due is %v, want %v", expression, zone, at.In(location), due, want)
				}
				if due {
					next, _ = schedule.Next(at)
				}
			}
		}
	}
}

// matches knows the expressions of the test above by heart.
func matches(expression string, at time.Time) bool {
	hour, minute := at.Hour(), at.Minute()
	switch expression {
	case "*/7 * * * *":
		return minute%7 == 0
	case "0 * * * *":
		return minute == 0
	case "30 0-3 * * *":
		return minute == 30 && hour <= 3
	case "15,45 1,2 * * SUN":
		return (minute == 15 || minute == 45) && (hour == 1 || hour == 2) && at.Weekday() == time.Sunday
	case "59 23 * * *":
		return minute == 59 && hour == 23
	default:
		return minute == 0 && hour == 0
	}
}

func FuzzNextRises(f *testing.F) {
	zones := []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Europe/Dublin"}
	f.Add("30 2 29 2 *", uint8(1), int64(1_770_000_000))
	f.Add("*/5 0 0-6 * * SUN", uint8(3), int64(1_775_000_000))
	f.Add("@every 90s", uint8(0), int64(-1))
	f.Add("TZ=UTC * * * * *", uint8(2), int64(0))
	f.Add("@weekly", uint8(4), int64(1_325_000_000))
	f.Fuzz(func(t *testing.T, expression string, zone uint8, seconds int64) {
		schedule, err := cron.Parse(expression, zones[int(zone)%len(zones)])
		if err != nil {
			return
		}
		at := time.Unix(seconds%(1<<33), seconds%1_000_000_000)
		for range 3 {
			next, fires := schedule.Next(at)
			if !fires {
				return
			}
			if !next.After(at) {
				t.Fatalf("%q: after %s comes %s", expression, at, next)
			}
			at = next
		}
	})
}
