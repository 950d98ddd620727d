package hubtest

import (
	"errors"
	"reflect"
	"time"

	"singularity/centralcloud"
)

var countStories = []story{
	{"the highest revision of a row counts, in whatever order they come", func(f *fixture) {
		lead := f.leadAs("a")
		for _, revision := range []int64{2, 5, 3, 5, 1} {
			f.count(lead, report("a", row("a", 30, revision, calls(revision))))
		}
		want := []centralcloud.Row{row("a", 30, 5, calls(5))}
		if rows := f.rows(); !reflect.DeepEqual(rows, want) {
			f.Errorf("rows are %+v, want %+v", rows, want)
		}
	}},
	{"of as many records, those whose scores changed last count", func(f *fixture) {
		lead := f.leadAs("a")
		for _, revision := range [][2]int64{{4, 7}, {5, 2}, {5, 4}, {5, 3}, {5, 4}, {4, 9}, {5, 0}} {
			r := row("a", 30, revision[0], calls(revision[0]))
			r.Rescored, r.Scored = revision[1], revision[1]
			f.count(lead, report("a", r))
		}
		if rows := f.rows(); len(rows) != 1 || rows[0].Revision != 5 || rows[0].Rescored != 4 || rows[0].Scored != 4 || rows[0].Calls != 5 {
			f.Errorf("rows are %+v, want the one of 5 records and 4 changes", rows)
		}
	}},
	{"a message that is gone counts for nothing", func(f *fixture) {
		lead := f.leadAs("a")
		id := f.send()
		for i, want := range []bool{true, false} {
			counted, err := f.Count(f.Context(), lead, id, report("a", row("a", 30, int64(i+1), calls(1))))
			f.must(err)
			if counted != want {
				f.Errorf("attempt %d: counted %t, want %t", i, counted, want)
			}
		}
		if rows := f.rows(); len(rows) != 1 || rows[0].Revision != 1 {
			f.Errorf("rows are %+v, want the first", rows)
		}
	}},
	{"who reported is known, as of its last message", func(f *fixture) {
		lead := f.leadAs("a")
		late := report("a")
		late.From.HeardAt = late.From.HeardAt.Add(time.Hour)
		late.From.Boot = "second"
		f.count(lead, late)
		f.count(lead, report("a"))
		f.count(lead, report("b"))
		instances, err := f.Instances(f.Context())
		f.must(err)
		if len(instances) != 2 || instances[0] != late.From || instances[1].ID != "b" {
			f.Errorf("instances are %+v", instances)
		}
	}},
	{"an instance goes with its queue", func(f *fixture) {
		lead := f.leadAs("a")
		r := report("a")
		f.count(lead, r)
		f.must(f.CreateQueue(f.Context(), r.From.Queue))
		f.must(f.DropInstance(f.Context(), lead, r.From))
		f.must(f.DropInstance(f.Context(), lead, r.From)) // there is nothing to drop
		if _, err := f.QueueMetrics(f.Context(), r.From.Queue); !errors.Is(err, centralcloud.ErrNoQueue) {
			f.Errorf("the queue: %v, want %v", err, centralcloud.ErrNoQueue)
		}
		if instances, err := f.Instances(f.Context()); err != nil || len(instances) != 0 {
			f.Errorf("instances are %+v, %v", instances, err)
		}
	}},
	{"rows of whole hours are summed up", func(f *fixture) {
		lead := f.leadAs("a")
		f.count(lead, report("a", row("a", 3600, 1, calls(1)), row("a", 7170, 1, calls(2)), row("a", 7200, 1, calls(4))))
		f.count(lead, report("b", row("b", 3630, 1, calls(8))))
		var took []int
		for range 3 {
			n, err := f.Compact(f.Context(), lead, time.Unix(7200+3599, 0))
			f.must(err)
			took = append(took, n)
		}
		if !reflect.DeepEqual(took, []int{3, 0, 0}) {
			f.Errorf("summed up %v rows, want 3 of the first hour and none of the second, which is not over", took)
		}
		var total, hours int64
		for _, row := range f.rows() {
			total += row.Calls
			if row.Instance == "" {
				hours++
				if row.Epoch != 3600 || row.Calls != 11 || row.Latency.Count() != 3 || row.Errors["timeout"] != 3 {
					f.Errorf("the hour is %+v", row)
				}
			}
		}
		if total != 15 || hours != 1 {
			f.Errorf("%d calls and %d hours, want 15 and 1", total, hours)
		}
		f.count(lead, report("c", row("c", 3660, 1, calls(16)))) // by a clock that was ahead
		if n, err := f.Compact(f.Context(), lead, time.Unix(7200, 0)); err != nil || n != 1 {
			f.Errorf("summed up %d rows of an hour once more, %v; want 1", n, err)
		}
		for _, row := range f.rows() {
			if row.Instance == "" && row.Calls != 27 {
				f.Errorf("the hour has %d calls, want 27", row.Calls)
			}
		}
		f.must(f.Forget(f.Context(), lead, time.Unix(7200, 0), time.Unix(7200, 0)))
		if rows := f.rows(); len(rows) != 1 || rows[0].Epoch != 7200 {
			f.Errorf("rows are %+v, want the one that is not summed up", rows)
		}
	}},
}
