package centralcloud_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
)

func TestSnapshotsFitIntoMessagesAndTeachAll(t *testing.T) {
	t.Parallel()
	var learnings []centralcloud.Learning
	for i := range 40 {
		document, err := json.Marshal(strings.Repeat("x", 16<<10))
		if err != nil {
			t.Fatal(err)
		}
		learnings = append(learnings, centralcloud.TeachLesson(centralcloud.Lesson{
			Type: centralcloud.TypePatternDiscovery, Name: strconv.Itoa(i), Version: int64(i + 1), Document: document,
		}, time.Unix(0, 0)))
	}
	learnings = append(learnings, centralcloud.TeachLesson(centralcloud.Lesson{
		Type: centralcloud.TypePatternDiscovery, Name: "0", Version: 50,
	}, time.Unix(0, 0)))
	drafts, err := centralcloud.EncodeSnapshots(time.Unix(1, 0), learnings...)
	if err != nil || len(drafts) < 3 || len(drafts) > 5 {
		t.Fatalf("%d messages, %v; want about four", len(drafts), err)
	}
	learned := &centralcloud.Learned{}
	for _, draft := range drafts {
		if err := draft.Check(); err != nil {
			t.Error(err)
		}
		lessons, err := centralcloud.DecodeLearning(draft.Body)
		if err != nil {
			t.Fatal(err)
		}
		if learned, err = learned.With(lessons); err != nil {
			t.Fatal(err)
		}
	}
	if _, there := learned.Patterns["0"]; there || len(learned.Patterns) != 39 || learned.Versions()[centralcloud.TypePatternDiscovery] != 50 {
		t.Errorf("%d patterns are known, version %v; want 39, without the one that was withdrawn", len(learned.Patterns), learned.Versions())
	}
}

func TestNothingToTeachIsNoMessage(t *testing.T) {
	t.Parallel()
	if drafts, err := centralcloud.EncodeSnapshots(time.Unix(1, 0)); err != nil || len(drafts) > 0 {
		t.Errorf("got %v, %v", drafts, err)
	}
}
