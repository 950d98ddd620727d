package main

import (
	"slices"
	"testing"
)

func TestMembersThatLiveAreListedByName(t *testing.T) {
	t.Parallel()
	members := []member{ // the latest heartbeat first, as nodes list them
		{Instance: "two", Status: "online"},
		{Instance: "gone", Status: "offline"},
		{Instance: "one", Status: "draining"},
		{Instance: "gone before", Status: "offline"},
	}
	slices.SortStableFunc(members, byLife)
	var names []string
	for _, m := range members {
		names = append(names, m.Instance)
	}
	if want := []string{"one", "two", "gone", "gone before"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}
