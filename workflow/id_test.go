package workflow_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/workflow"
)

func TestRunIDIsAUUIDOfVersion7(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := map[workflow.RunID]bool{}
		for range 100 {
			id := workflow.NewRunID()
			millis := int64(0)
			for _, b := range id[:6] {
				millis = millis<<8 | int64(b)
			}
			if now := time.Now().UnixMilli(); millis != now {
				t.Errorf("%s carries the time %d, want %d", id, millis, now)
			}
			if version, variant := id[6]>>4, id[8]>>6; version != 7 || variant != 0b10 {
				t.Errorf("%s has version %d and variant %b, want 7 and 10", id, version, variant)
			}
			if seen[id] {
				t.Errorf("%s was given out twice", id)
			}
			seen[id] = true
		}
	})
}

func TestRunIDsSortByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 300 {
			ids = append(ids, workflow.NewRunID().String())
			<-time.After(time.Millisecond)
		}
		if !slices.IsSorted(ids) {
			t.Error("ids made a millisecond apart are not in order")
		}
	})
}

func TestParseRunID(t *testing.T) {
	t.Parallel()
	const text = "0195a3f2-7c1d-7e5a-9b3c-0123456789ab"
	id, err := workflow.ParseRunID(text)
	if err != nil || id.String() != text {
		t.Errorf("ParseRunID(%q) = %s, %v", text, id, err)
	}
	upper, err := workflow.ParseRunID(strings.ToUpper(text))
	if err != nil || upper != id {
		t.Errorf("upper case is read as %s, %v; want the same id", upper, err)
	}
	zero, err := workflow.ParseRunID("00000000-0000-0000-0000-000000000000")
	if err != nil || !zero.IsZero() || id.IsZero() {
		t.Errorf("the zero id is read as %s, %v", zero, err)
	}
}

func TestParseRunIDRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"empty":         "",
		"short":         "0195a3f2-7c1d-7e5a-9b3c-0123456789a",
		"long":          "0195a3f2-7c1d-7e5a-9b3c-0123456789abc",
		"no dashes":     "0195a3f27c1d7e5a9b3c0123456789ab",
		"dashes astray": "0195a3f27-c1d-7e5a-9b3c-0123456789ab",
		"not hex":       "0195a3f2-7c1d-7e5a-9b3c-0123456789ag",
		"not ASCII":     "0195a3f2-7c1d-7e5a-9b3c-01234567日本",
		"braces":        "{195a3f2-7c1d-7e5a-9b3c-0123456789a}",
		"very long":     strings.Repeat("a", 1<<20),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := workflow.ParseRunID(text)
			invalid := (*workflow.InputError)(nil)
			if !errors.As(err, &invalid) || invalid.Field != "id" || !id.IsZero() {
				t.Fatalf("ParseRunID = %s, %v; want an InputError of field id", id, err)
			}
			if len(invalid.Reason) > 300 {
				t.Errorf("the error repeats all of a long text: %d bytes", len(invalid.Reason))
			}
		})
	}
}

func TestRunIDInJSON(t *testing.T) {
	t.Parallel()
	id, err := workflow.ParseRunID("0195a3f2-7c1d-7e5a-9b3c-0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	type ids struct {
		ID   workflow.RunID            `json:"id"`
		None workflow.RunID            `json:"none,omitzero"`
		ByID map[workflow.RunID]string `json:"by_id"`
	}
	before := ids{ID: id, ByID: map[workflow.RunID]string{id: "a"}}
	document, err := json.Marshal(before)
	const want = `{"id":"0195a3f2-7c1d-7e5a-9b3c-0123456789ab","by_id":{"0195a3f2-7c1d-7e5a-9b3c-0123456789ab":"a"}}`
	if err != nil || string(document) != want {
		t.Fatalf("encoded as %s, %v; want %s", document, err, want)
	}
	var after ids
	if err := json.Unmarshal(document, &after); err != nil || after.ID != id || !maps.Equal(after.ByID, before.ByID) {
		t.Errorf("decoded as %+v, %v", after, err)
	}
	if err := json.Unmarshal([]byte(`{"id":"7"}`), &after); err == nil || after.ID != id {
		t.Errorf("a bad id is decoded as %s, %v; want an error and no change", after.ID, err)
	}
}

func FuzzParseRunID(f *testing.F) {
	for _, text := range []string{"", "0195a3f2-7c1d-7e5a-9b3c-0123456789ab", "0195A3F2-7C1D-7E5A-9B3C-0123456789AB", strings.Repeat("-", 36)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := workflow.ParseRunID(text)
		switch {
		case err != nil && !id.IsZero():
			t.Errorf("ParseRunID(%q) gives both %s and %v", text, id, err)
		case err == nil && id.String() != strings.ToLower(text):
			t.Errorf("ParseRunID(%q) reads back as %s", text, id)
		}
	})
}

func TestOffsetsOfAnIDAreItsSuccessors(t *testing.T) {
	t.Parallel()
	fresh := workflow.NewRunID()
	before := fresh
	for n := range 1000 {
		id := fresh.Offset(n)
		if n > 0 && id.String() <= before.String() {
			t.Fatalf("offset %d is %s, which does not come after %s", n, id, before)
		}
		before = id
	}
	if fresh.Offset(0) != fresh {
		t.Errorf("offset 0 of %s is %s", fresh, fresh.Offset(0))
	}
	last := workflow.RunID{6: 0x70, 8: 0xbf, 9: 0xff, 10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}
	if got, want := last.Offset(1), (workflow.RunID{6: 0x70, 8: 0x80}); got != want {
		t.Errorf("after %s comes %s, want %s: the variant stays", last, got, want)
	}
}
