package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"singularity/persistence"
)

func TestAgesAreReadByStateAndQueue(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]persistence.RetentionPolicy{
		"completed=90m": {
			RetentionAges: persistence.RetentionAges{Completed: 90 * time.Minute},
			Queues:        map[string]persistence.RetentionAges{},
		},
		"failed=30d,cancelled=1h,quarantined=1s": {
			RetentionAges: persistence.RetentionAges{Failed: 30 * day, Cancelled: time.Hour, Quarantined: time.Second},
			Queues:        map[string]persistence.RetentionAges{},
		},
		"completed=1h,bills/failed=90d,bills/completed=7d": {
			RetentionAges: persistence.RetentionAges{Completed: time.Hour},
			Queues:        map[string]persistence.RetentionAges{"bills": {Completed: 7 * day, Failed: 90 * day}},
		},
	} {
		var flag retainedFor
		if err := flag.Set(text); err != nil || !reflect.DeepEqual(flag.policy, want) || flag.String() != text {
			t.Errorf("%s: %+v, %v; want %+v", text, flag.policy, err, want)
		}
	}
	for _, text := range []string{
		"", "completed", "completed=", "completed=-1h", "completed=0s", "completed=0d", "completed=99999d", "completed=soon", "running=1h",
		"=1h", "/failed=1h", "bills/=1h", "two words/failed=1h", "completed=1h,", "bills/failed/x=1h",
	} {
		var flag retainedFor
		if err := flag.Set(text); err == nil || !strings.Contains(err.Error(), "expected entries such as") {
			t.Errorf("%q: %v, want an error that says what is expected", text, err)
		}
	}
}
