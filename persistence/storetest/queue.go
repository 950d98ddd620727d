package storetest

import (
	"errors"
	"math"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var queueStories = []story{
	{name: "queues/settings are changed field by field and listed by name", tell: queueSettings},
	{name: "queues/a zero takes a limit away", tell: queueUnset},
	{name: "queues/settings that cannot be are refused and change nothing", tell: queueRefused},
	{name: "queues/pausing reports whether it changed anything", tell: queuePaused},
	{name: "queues/counts what is in each queue", tell: queueCounted},
	{name: "queues/settings, pauses and turns survive a restart", restarts: true, tell: queueSurvives},
}

// set changes a queue as it must be possible.
func (f *fixture) set(name string, change workflow.QueueChange) persistence.QueueSettings {
	f.Helper()
	settings, err := f.store.SetQueue(f.Context(), name, change)
	if err != nil {
		f.Fatalf("set queue %s: %v", name, err)
	}
	return settings
}

// pause pauses or resumes a queue.
func (f *fixture) pause(name string, paused bool) (persistence.QueueSettings, bool) {
	f.Helper()
	settings, changed, err := f.store.PauseQueue(f.Context(), name, paused)
	if err != nil {
		f.Fatalf("pause queue %s (%t): %v", name, paused, err)
	}
	return settings, changed
}

// settings lists what is said of queues.
func (f *fixture) settings() []persistence.QueueSettings {
	f.Helper()
	list, err := f.store.QueueSettings(f.Context())
	if err != nil {
		f.Fatalf("list the settings of queues: %v", err)
	}
	return list
}

func queueSettings(f *fixture) {
	if list := f.settings(); len(list) != 0 {
		f.Errorf("%+v before anything was said", list)
	}
	f.set("z", workflow.QueueChange{NodeLimit: new(7), GlobalLimit: new(20), Rate: new(2.5), Burst: new(4), RetainFailed: new(90)})
	f.set("a", workflow.QueueChange{KeyPath: new("user.id"), KeyLimit: new(2), KeyRate: new(0.5), KeyBurst: new(3), RetainCompleted: new(60)})
	got := f.set("z", workflow.QueueChange{GlobalLimit: new(30)})
	z := persistence.QueueSettings{Name: "z", QueueSettings: workflow.QueueSettings{NodeLimit: 7, GlobalLimit: 30, Rate: 2.5, Burst: 4, RetainFailed: 90}}
	a := persistence.QueueSettings{Name: "a", QueueSettings: workflow.QueueSettings{KeyPath: "user.id", KeyLimit: 2, KeyRate: 0.5, KeyBurst: 3, RetainCompleted: 60}}
	if got != z {
		f.Errorf("the change returned %+v, want %+v", got, z)
	}
	if list := f.settings(); !slices.Equal(list, []persistence.QueueSettings{a, z}) {
		f.Errorf("settings %+v, want %+v", list, []persistence.QueueSettings{a, z})
	}
	if empty := f.set("m", workflow.QueueChange{}); empty != (persistence.QueueSettings{Name: "m"}) || len(f.settings()) != 3 {
		f.Errorf("an empty change made %+v, want a queue that is known", empty)
	}
}

func queueUnset(f *fixture) {
	f.set(queue, workflow.QueueChange{NodeLimit: new(1), GlobalLimit: new(1), KeyPath: new("k"), KeyLimit: new(1), Rate: new(1.0), Burst: new(1)})
	f.set(queue, workflow.QueueChange{RetainCompleted: new(1), RetainFailed: new(1)})
	zero := f.set(queue, workflow.QueueChange{
		NodeLimit: new(0), GlobalLimit: new(0), KeyPath: new(""), KeyLimit: new(0), Rate: new(0.0), Burst: new(0),
		RetainCompleted: new(0), RetainFailed: new(0),
	})
	if zero != (persistence.QueueSettings{Name: queue}) || zero.Limited() {
		f.Errorf("%+v, want no limits", zero)
	}
}

func queueRefused(f *fixture) {
	before := f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(1)})
	for field, change := range map[string]workflow.QueueChange{
		"node_limit":   {NodeLimit: new(-1)},
		"global_limit": {GlobalLimit: new(math.MaxInt)},
		"key_limit":    {KeyPath: new("")},
		"key_path":     {KeyPath: new("a..b")},
		"burst":        {Burst: new(3)},
		"key_burst":    {KeyBurst: new(3)},
		"rate":         {Rate: new(math.NaN())},
		"key_rate":     {KeyRate: new(-0.5)},

		"retain_completed_seconds": {RetainCompleted: new(-1)},
		"retain_failed_seconds":    {RetainFailed: new(math.MaxInt)},
	} {
		_, err := f.store.SetQueue(f.Context(), queue, change)
		if refused, ok := errors.AsType[*workflow.InputError](err); !ok || refused.Field != field {
			f.Errorf("%s: %v, want a refusal of it", field, err)
		}
	}
	if _, err := f.store.SetQueue(f.Context(), "other", workflow.QueueChange{KeyLimit: new(1)}); err == nil {
		f.Errorf("a limit of keys without a path was taken")
	}
	if list := f.settings(); !slices.Equal(list, []persistence.QueueSettings{before}) {
		f.Errorf("settings %+v, want %+v still", list, before)
	}
}

func queuePaused(f *fixture) {
	if settings, changed := f.pause(queue, false); changed || settings.PausedAt != nil || len(f.settings()) != 0 {
		f.Errorf("resuming what nobody paused: %+v, %t", settings, changed)
	}
	before := f.now()
	first, changed := f.pause(queue, true)
	if !changed || first.PausedAt == nil || first.PausedAt.Sub(before).Abs() > time.Minute {
		f.Fatalf("pausing: %+v, %t; want it paused now", first, changed)
	}
	again, changed := f.pause(queue, true)
	if changed || again.PausedAt == nil || !again.PausedAt.Equal(*first.PausedAt) {
		f.Errorf("pausing again: %+v, %t; want it unchanged", again, changed)
	}
	if kept := f.set(queue, workflow.QueueChange{NodeLimit: new(3)}); kept.PausedAt == nil || !kept.PausedAt.Equal(*first.PausedAt) {
		f.Errorf("other settings changed the pause: %+v", kept)
	}
	resumed, changed := f.pause(queue, false)
	if !changed || resumed.PausedAt != nil || resumed.NodeLimit != 3 {
		f.Errorf("resuming: %+v, %t", resumed, changed)
	}
}

func queueCounted(f *fixture) {
	boot := f.join("a")
	f.started(boot)
	f.stored()
	late := f.draft()
	late.Due, late.Priority = f.now().Add(-time.Hour), 9
	later, ended, other := f.draft(), f.draft(), f.draft()
	later.Delay = time.Hour
	ended.Owner = boot
	other.Queue, other.Owner = "metrics", boot
	f.commit(late, later, ended, other)
	f.land(completion(persistence.Fence{Run: ended.Run, Boot: boot, Epoch: 1}))
	f.land(release(f.started(boot), workflow.Retryable, time.Hour))
	f.land(release(f.started(boot), workflow.Waiting, 0))
	list, err := f.store.QueueStats(f.Context())
	if err != nil || len(list) != 2 {
		f.Fatalf("stats %+v, %v; want two queues", list, err)
	}
	if oldest := list[0].Oldest; oldest < time.Hour || oldest > time.Hour+time.Minute {
		f.Errorf("the oldest has been due for %s, want an hour", oldest)
	}
	list[0].Oldest = 0
	want := []persistence.QueueStats{
		{Queue: queue, Available: 2, Running: 1, Scheduled: 1, Retryable: 1}, {Queue: "metrics", Running: 1},
	}
	if !slices.Equal(list, want) {
		f.Errorf("stats %+v, want %+v", list, want)
	}
}

func queueSurvives(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(1)})
	for _, key := range []string{"a", "b", "c"} {
		f.waits(key)
		f.waits(key)
	}
	boot := f.join("a")
	f.serves(boot, "a")
	before, _ := f.pause(queue, true)
	f.store = f.config.Reopen(f, f.store)
	after := f.settings()
	if len(after) != 1 || after[0].PausedAt == nil || !after[0].PausedAt.Equal(*before.PausedAt) ||
		after[0].QueueSettings != before.QueueSettings {
		f.Fatalf("settings %+v, want %+v", after, before)
	}
	boot = f.join("a")
	if got := f.takeLimited(boot, 5); len(got) != 0 {
		f.Errorf("a paused queue gave %v", ids(got))
	}
	f.pause(queue, false)
	f.serves(boot, "b", "c") // the run of a is the dead boot's, and counts
}
