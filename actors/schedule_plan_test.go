package actors

import (
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/internal/cron"
	"singularity/workflow"
)

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestPlanFiring(t *testing.T) {
	t.Parallel()
	const noon = "2026-03-02T12:00:00Z"
	for _, test := range []struct {
		name            string
		cron, zone      string
		catchUp         workflow.CatchUp
		overlap         workflow.Overlap
		busy            bool
		next, now       string
		slots           []string
		last, then, why string // last is the last of slots when it is empty
	}{
		{name: "not due", cron: "0 * * * *", next: noon, now: "2026-03-02T11:59:59Z", then: noon},
		{name: "due", cron: "0 * * * *", next: noon, now: noon, slots: []string{noon}, then: "2026-03-02T13:00:00Z"},
		{name: "late", cron: "0 * * * *", next: noon, now: "2026-03-02T12:01:00Z", slots: []string{noon}, then: "2026-03-02T13:00:00Z"},
		{name: "several are due", cron: "*/20 * * * * *", next: noon, now: "2026-03-02T12:00:45Z",
			slots: []string{noon, "2026-03-02T12:00:20Z", "2026-03-02T12:00:40Z"}, then: "2026-03-02T12:01:00Z"},
		{name: "missed, skip", cron: "0 * * * *", next: noon, now: "2026-03-02T15:30:00Z",
			last: "2026-03-02T15:00:00Z", then: "2026-03-02T16:00:00Z", why: "from 2026-03-02T12:00:00Z to 2026-03-02T15:00:00Z were missed"},
		{name: "missed by a second, skip", cron: "0 * * * *", next: noon, now: "2026-03-02T12:01:01Z",
			last: noon, then: "2026-03-02T13:00:00Z", why: "were missed"},
		{name: "missed, one", cron: "0 * * * *", catchUp: workflow.CatchUpOne, next: noon, now: "2026-03-02T15:30:00Z",
			slots: []string{"2026-03-02T15:00:00Z"}, then: "2026-03-02T16:00:00Z"},
		{name: "missed, all", cron: "0 * * * *", catchUp: workflow.CatchUpAll, next: noon, now: "2026-03-02T14:30:00Z",
			slots: []string{noon, "2026-03-02T13:00:00Z", "2026-03-02T14:00:00Z"}, then: "2026-03-02T15:00:00Z"},
		{name: "missed and due, skip", cron: "0 * * * *", next: noon, now: "2026-03-02T15:00:10Z",
			slots: []string{"2026-03-02T15:00:00Z"}, then: "2026-03-02T16:00:00Z"},
		{name: "missed and due, one", cron: "0 * * * *", catchUp: workflow.CatchUpOne, next: noon, now: "2026-03-02T15:00:10Z",
			slots: []string{"2026-03-02T14:00:00Z", "2026-03-02T15:00:00Z"}, then: "2026-03-02T16:00:00Z"},
		{name: "millions missed, one", cron: "* * * * * *", catchUp: workflow.CatchUpOne, next: "2025-03-02T12:00:00Z", now: "2026-03-02T12:00:00Z",
			slots: append([]string{"2026-03-02T11:58:59Z"}, seconds(t, "2026-03-02T11:59:00Z", 61)...), then: "2026-03-02T12:00:01Z"},
		{name: "every, missed", cron: "@every 7m", catchUp: workflow.CatchUpOne, next: "2026-03-02T12:04:00Z", now: "2026-03-02T13:00:30Z",
			slots: []string{"2026-03-02T12:53:00Z", "2026-03-02T13:00:00Z"}, then: "2026-03-02T13:07:00Z"},
		{name: "doubled hour", cron: "30 1 * * *", zone: "America/New_York", catchUp: workflow.CatchUpAll, next: "2026-11-01T05:30:00Z", now: "2026-11-01T12:00:00Z",
			slots: []string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"}, then: "2026-11-02T06:30:00Z"},
		{name: "missing hour", cron: "30 2 * * *", zone: "Europe/Berlin", next: "2026-03-28T01:30:00Z", now: "2026-03-28T01:30:00Z",
			slots: []string{"2026-03-28T01:30:00Z"}, then: "2026-03-30T00:30:00Z"},
		{name: "busy, allowed", cron: "0 * * * *", busy: true, next: noon, now: noon, slots: []string{noon}, then: "2026-03-02T13:00:00Z"},
		{name: "busy", cron: "0 * * * *", overlap: workflow.OverlapSkip, busy: true, next: noon, now: noon,
			last: noon, then: "2026-03-02T13:00:00Z", why: "had not ended"},
		{name: "busy and missed", cron: "0 * * * *", overlap: workflow.OverlapSkip, busy: true, next: noon, now: "2026-03-02T15:30:00Z",
			last: "2026-03-02T15:00:00Z", then: "2026-03-02T16:00:00Z", why: "were missed"},
		{name: "one at a time", cron: "0 * * * *", overlap: workflow.OverlapSkip, catchUp: workflow.CatchUpAll, next: noon, now: "2026-03-02T14:30:00Z",
			slots: []string{noon}, last: "2026-03-02T14:00:00Z", then: "2026-03-02T15:00:00Z", why: "run of slot 2026-03-02T12:00:00Z had not ended"},
		{name: "the last of all", cron: "0 0 29 2 *", next: "2096-02-29T00:00:00Z", now: "2096-02-29T00:00:01Z",
			slots: []string{"2096-02-29T00:00:00Z"}, then: "2104-02-29T00:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			times, err := cron.Parse(test.cron, test.zone)
			if err != nil {
				t.Fatal(err)
			}
			next := instant(t, test.next)
			schedule := &workflow.Schedule{NextSlot: &next}
			schedule.CatchUp, schedule.Overlap = test.catchUp, test.overlap
			got := planFiring(schedule, times.From(instant(t, noon).Add(-3*time.Minute)), instant(t, test.now), test.busy)
			if slots := texts(got.slots); !slices.Equal(slots, test.slots) {
				t.Errorf("fires %q, want %q", slots, test.slots)
			}
			last := test.last
			if last == "" && len(test.slots) > 0 {
				last = test.slots[len(test.slots)-1]
			}
			if (last == "") != got.last.IsZero() || last != "" && !got.last.Equal(instant(t, last)) {
				t.Errorf("the last slot is %s, want %s", got.last, last)
			}
			if got.next == nil || !got.next.Equal(instant(t, test.then)) {
				t.Errorf("the next slot is %v, want %s", got.next, test.then)
			}
			if !strings.Contains(got.why, test.why) || (got.why == "") != (test.why == "") {
				t.Errorf("why is %q, want %q", got.why, test.why)
			}
		})
	}
}

func texts(slots []time.Time) []string {
	var list []string
	for _, slot := range slots {
		list = append(list, slot.Format(time.RFC3339))
	}
	return list
}

func seconds(t testing.TB, from string, count int) []string {
	t.Helper()
	var list []string
	for i := range count {
		list = append(list, instant(t, from).Add(time.Duration(i)*time.Second).Format(time.RFC3339))
	}
	return list
}

func TestPausedScheduleFiresNothing(t *testing.T) {
	t.Parallel()
	times, err := cron.Parse("* * * * *", "")
	if err != nil {
		t.Fatal(err)
	}
	now := instant(t, "2026-03-02T12:00:00Z")
	for _, schedule := range []workflow.Schedule{{NextSlot: &now, PausedAt: &now}, {}} {
		if got := planFiring(&schedule, times, now, false); len(got.slots) > 0 || !got.last.IsZero() {
			t.Errorf("%+v fires %+v", schedule, got)
		}
	}
}

func TestManySlotsAreFiredInPortions(t *testing.T) {
	t.Parallel()
	times, err := cron.Parse("* * * * *", "")
	if err != nil {
		t.Fatal(err)
	}
	next := instant(t, "2026-03-02T12:00:00Z")
	schedule := workflow.Schedule{NextSlot: &next}
	schedule.CatchUp = workflow.CatchUpAll
	now, fired := next.Add(250*time.Minute), 0
	for _, want := range []int{100, 100, 51, 0} {
		plan := planFiring(&schedule, times, now, false)
		if len(plan.slots) != want {
			t.Errorf("%d slots after %d, want %d", len(plan.slots), fired, want)
		}
		fired += len(plan.slots)
		schedule.NextSlot = plan.next
	}
	if !schedule.NextSlot.Equal(now.Add(time.Minute)) {
		t.Errorf("the next slot is %s", schedule.NextSlot)
	}
}
