// Package hubtest is the suite that the stores of hubs pass, whatever their
// database.
package hubtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

// Run runs the suite on stores that open returns, each on a fresh database.
func Run(t *testing.T, open func(t testing.TB) hub.Store) {
	for _, story := range slices.Concat(leadStories, countStories, keepStories, lessonStories, spanStories) {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{T: t, Store: open(t)}
			for _, queue := range []string{centralcloud.UpQueue, centralcloud.DeadUp, centralcloud.DeadDown} {
				f.must(f.CreateQueue(t.Context(), queue))
			}
			story.tell(f)
		})
	}
}

// story is one behaviour of stores.
type story struct {
	name string
	tell func(f *fixture)
}

// fixture is the store that a story is told of.
type fixture struct {
	*testing.T
	hub.Store
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// term is one that does not end while a story is told.
const term = time.Hour

// leadAs takes the lead.
func (f *fixture) leadAs(holder string) hub.Lead {
	f.Helper()
	lead, err := f.Lead(f.Context(), holder, term)
	f.must(err)
	return lead
}

// afterAnother takes the lead, and has another holder lead since.
func (f *fixture) afterAnother() (former hub.Lead) {
	f.Helper()
	former = f.leadAs("former")
	f.must(f.Resign(f.Context(), former))
	f.leadAs("next")
	return former
}

// send sends a message up and returns its id.
func (f *fixture) send() int64 {
	f.Helper()
	id, err := f.Send(f.Context(), centralcloud.UpQueue, centralcloud.Draft{Body: []byte(`{}`)})
	f.must(err)
	return id
}

func (f *fixture) expectNotLeading(err error) {
	f.Helper()
	if !errors.Is(err, hub.ErrNotLeading) {
		f.Errorf("got %v, want %v", err, hub.ErrNotLeading)
	}
}

// row is what an instance counted in an epoch.
func row(instance string, epoch, revision int64, counters centralcloud.Counters) centralcloud.Row {
	return centralcloud.Row{
		Key: centralcloud.Key{
			Instance: instance, Boot: instance + "-boot", Epoch: epoch, TaskType: "math", Bucket: 1,
			Arm: centralcloud.Arm{Provider: "p", Model: "m"},
		},
		Revision: revision, Counters: counters,
	}
}

func calls(n int64) centralcloud.Counters {
	return centralcloud.Counters{
		Calls: n, Judged: n, Successes: n, Quality: n * 1_000_000, Squares: n * 1_000_000, Cost: 7 * n,
		Errors: map[string]int64{"timeout": 1}, Latency: centralcloud.SketchOf(1000 * n),
	}
}

// report is one of an instance with these rows.
func report(instance string, rows ...centralcloud.Row) hub.Report {
	return hub.Report{
		From: hub.Instance{ID: instance, Boot: instance + "-boot", Queue: centralcloud.DownQueue(instance), HeardAt: time.Unix(1_700_000_000, 0).UTC()},
		Rows: rows,
	}
}

// count sends a message and counts it as a report.
func (f *fixture) count(lead hub.Lead, r hub.Report) {
	f.Helper()
	counted, err := f.Count(f.Context(), lead, f.send(), r)
	f.must(err)
	if !counted {
		f.Fatal("the message was not there")
	}
}

// rows are all rows, by instance and epoch.
func (f *fixture) rows() []centralcloud.Row {
	f.Helper()
	var rows []centralcloud.Row
	f.must(f.Rows(f.Context(), func(row centralcloud.Row) error {
		rows = append(rows, row)
		return nil
	}))
	return rows
}
