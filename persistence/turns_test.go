package persistence_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// line is what waits of each key, in the order of the keys.
type line struct {
	keys    []string
	waiting map[string]int
	running map[string]int
	buckets map[string]*persistence.Bucket
	taken   []string
}

func lineOf(keys ...string) *line {
	l := &line{waiting: map[string]int{}, running: map[string]int{}, buckets: map[string]*persistence.Bucket{}}
	for _, key := range keys {
		l.waiting[key]++
		l.keys = append(l.keys, key)
	}
	slices.Sort(l.keys)
	l.keys = slices.Compact(l.keys)
	return l
}

func (l *line) First() (string, bool, error) { return l.find(func(string) bool { return true }) }

func (l *line) After(key string) (string, bool, error) {
	return l.find(func(other string) bool { return other > key })
}

func (l *line) find(ok func(string) bool) (string, bool, error) {
	for _, key := range l.keys {
		if l.waiting[key] > 0 && ok(key) {
			return key, true, nil
		}
	}
	return "", false, nil
}

func (l *line) Running(key string) (int, error)                { return l.running[key], nil }
func (l *line) Bucket(key string) (*persistence.Bucket, error) { return l.buckets[key], nil }

func (l *line) Keep(key string, bucket persistence.Bucket) error {
	l.buckets[key] = &bucket
	return nil
}

func (l *line) Take(key string) (taken, left bool, err error) {
	l.waiting[key]--
	l.running[key]++
	l.taken = append(l.taken, key)
	return true, false, nil
}

func TestDealGoesRoundFromTheKeyAfterTheLast(t *testing.T) {
	t.Parallel()
	l := lineOf("a", "a", "a", "b", "c", "c")
	dealt, err := persistence.Deal(workflow.QueueSettings{KeyPath: "k"}, noon, "a", 10, l)
	if err != nil || !slices.Equal(l.taken, []string{"b", "c", "a", "c", "a", "a"}) || dealt.Turn != "a" || dealt.Room != 4 {
		t.Errorf("%q were taken, %+v, %v", l.taken, dealt, err)
	}
}

func TestDealThatCannotSeeAllKeysGoesOnInTheNextOne(t *testing.T) {
	t.Parallel()
	l := lineOf("z")
	for i := range 2 * persistence.MaxKeysWalked {
		key := fmt.Sprintf("%05d", i)
		l.keys, l.waiting[key], l.running[key] = append(l.keys, key), 1, 1
	}
	slices.Sort(l.keys)
	settings := workflow.QueueSettings{KeyPath: "k", KeyLimit: 1}
	turn := ""
	for range 2 {
		dealt, err := persistence.Deal(settings, noon, turn, 1, l)
		if err != nil || len(l.taken) != 0 || dealt.Wait != persistence.WalkAgain {
			t.Fatalf("%q were taken, %+v, %v; want to be told to go on", l.taken, dealt, err)
		}
		turn = dealt.Turn
	}
	if dealt, err := persistence.Deal(settings, noon, turn, 1, l); err != nil || !slices.Equal(l.taken, []string{"z"}) {
		t.Errorf("%q were taken, %+v, %v", l.taken, dealt, err)
	}
}

func TestRoomIsWhatAllLimitsLeave(t *testing.T) {
	t.Parallel()
	bucket := func(tokens float64, ago time.Duration) *persistence.Bucket {
		return &persistence.Bucket{Tokens: tokens, RefilledAt: noon.Add(-ago)}
	}
	for _, c := range []struct {
		name           string
		settings       workflow.QueueSettings
		limit, running int
		bucket         *persistence.Bucket
		runs           int
		wait           time.Duration // to the millisecond
	}{
		{"no limits", workflow.QueueSettings{}, 7, 100, nil, 7, 0},
		{"some run", workflow.QueueSettings{GlobalLimit: 10}, 7, 6, nil, 4, 0},
		{"more run than may", workflow.QueueSettings{GlobalLimit: 10}, 7, 16, nil, 0, 0},
		{"nothing was taken yet", workflow.QueueSettings{Rate: 2.5}, 7, 0, nil, 2, 200 * time.Millisecond},
		{"slow rates hold one", workflow.QueueSettings{Rate: 0.5}, 7, 0, nil, 1, 2 * time.Second},
		{"tokens come back", workflow.QueueSettings{Rate: 2, Burst: 5}, 7, 0, bucket(0, 1500*time.Millisecond), 3, 500 * time.Millisecond},
		{"no more than the burst", workflow.QueueSettings{Rate: 2, Burst: 5}, 7, 0, bucket(0, time.Hour), 5, 500 * time.Millisecond},
		{"the clock went back", workflow.QueueSettings{Rate: 2, Burst: 5}, 7, 0, bucket(1.5, -time.Hour), 1, 250 * time.Millisecond},
		{"the burst was lowered", workflow.QueueSettings{Rate: 2, Burst: 1}, 7, 0, bucket(9, 0), 1, 500 * time.Millisecond},
		{"the rate is not what limits", workflow.QueueSettings{Rate: 2, Burst: 5, GlobalLimit: 3}, 7, 0, bucket(5, 0), 3, 0},
		{"nothing was asked for", workflow.QueueSettings{Rate: 2}, 0, 0, nil, 0, 0},
	} {
		room := persistence.RoomIn(c.settings, c.limit, c.running, c.bucket, noon)
		if room.Runs != c.runs || room.Wait.Round(time.Millisecond) != c.wait {
			t.Errorf("%s: room for %d runs, more in %s; want %d and %s", c.name, room.Runs, room.Wait, c.runs, c.wait)
		}
	}
}
