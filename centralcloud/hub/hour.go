package hub

import (
	"maps"
	"slices"

	"singularity/centralcloud"
)

// Hour sums up the rows of an hour, whoever reported them.
type Hour struct {
	begin int64
	sums  map[centralcloud.Key]*centralcloud.Counters
}

// NewHour returns an hour without rows. It begins at a Unix time.
func NewHour(begin int64) *Hour {
	return &Hour{begin: begin, sums: map[centralcloud.Key]*centralcloud.Counters{}}
}

// Add adds a row.
func (h *Hour) Add(row centralcloud.Row) {
	key := row.Key
	key.Instance, key.Boot, key.Epoch = "", "", h.begin
	if h.sums[key] == nil {
		h.sums[key] = &centralcloud.Counters{}
	}
	h.sums[key].Merge(row.Counters)
}

// Rows returns the sums in the order of their keys.
func (h *Hour) Rows() []centralcloud.Row {
	keys := slices.SortedFunc(maps.Keys(h.sums), centralcloud.Key.Compare)
	rows := make([]centralcloud.Row, len(keys))
	for i, key := range keys {
		rows[i] = centralcloud.Row{Key: key, Revision: 1, Counters: *h.sums[key]}
	}
	return rows
}
