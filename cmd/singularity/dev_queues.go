package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// queueLimits is the value of --queues: how many runs of each queue a node
// runs at once.
type queueLimits map[string]int

// String implements [pflag.Value].
func (q *queueLimits) String() string {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(*q)) {
		entries = append(entries, fmt.Sprintf("%s=%d", name, (*q)[name]))
	}
	return strings.Join(entries, ",")
}

// Type implements [pflag.Value].
func (q *queueLimits) Type() string { return "name=n,..." }

// Set implements [pflag.Value].
func (q *queueLimits) Set(text string) error {
	limits := queueLimits{}
	for entry := range strings.SplitSeq(text, ",") {
		name, number, found := strings.Cut(entry, "=")
		limit, err := strconv.Atoi(number)
		if !found || name == "" || err != nil || limit < 1 {
			return fmt.Errorf("%q is not a queue with its limit; expected entries such as default=10", entry)
		}
		limits[name] = limit
	}
	*q = limits
	return nil
}
