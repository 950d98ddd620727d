package hubtest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"singularity/centralcloud"
)

// sample is a call of a boot at a time.
func sample(id string, at time.Time) centralcloud.Sample {
	return centralcloud.Sample{ID: id, Boot: "a-boot", At: at.UTC(), Call: centralcloud.Call{
		Workflow: "w", Step: "s", Attempt: 2, Arm: centralcloud.Arm{Provider: "p", Model: "m"}, TaskType: "math",
		ErrorClass: "timeout", ErrorPrint: "0011223344556677", Latency: 7, PolicyVersion: "1", Propensity: 1,
	}}
}

// repeats are what an instance asked in an epoch.
func repeats(instance string, epoch, revision int64) centralcloud.Repeats {
	return centralcloud.Repeats{
		RepeatsKey: centralcloud.RepeatsKey{
			Instance: instance, Boot: instance + "-boot", Epoch: epoch, Workflow: "w", Step: "s", Arm: centralcloud.Arm{Provider: "p", Model: "m"},
		},
		Revision: revision,
		Asked: centralcloud.Asked{Calls: revision, Cost: 7, Example: "r", Frequent: 2, Bound: 1 << 63, Questions: centralcloud.Questions{{
			Sealed: 0x11223344556677, Calls: 2, First: 1, Last: 8, Gaps: centralcloud.SketchOf(7), Answers: [2]centralcloud.Sealed{10, 11},
		}}},
	}
}

// spanStories are about what is read of a time.
var spanStories = []story{
	{"samples of a time are read as they came, and those of some runs when there are too many", func(f *fixture) {
		lead := f.leadAs("a")
		at := time.Unix(1_700_000_000, 0)
		r := report("a")
		for i, random := range []int{5, 9, 2, 7, 1} {
			id := fmt.Sprintf("01900000-0000-7000-8000-%012d/1/0", random)
			r.Samples = append(r.Samples, sample(id, at.Add(time.Duration(i)*time.Second)))
		}
		f.count(lead, r)
		f.count(lead, r)
		for most, want := range map[int][]int{9: {1, 2, 3}, 2: {2, 3}} { // not the first, nor the last
			var got []centralcloud.Sample
			f.must(f.SamplesBetween(f.Context(), at.Add(time.Second), at.Add(4*time.Second), most, func(s centralcloud.Sample) error {
				got = append(got, s)
				return nil
			}))
			slices.SortFunc(got, func(a, b centralcloud.Sample) int { return a.At.Compare(b.At) })
			var wanted []centralcloud.Sample
			for _, i := range want {
				wanted = append(wanted, r.Samples[i])
			}
			if !reflect.DeepEqual(got, wanted) {
				f.Errorf("up to %d samples are %+v, want %+v", most, got, wanted)
			}
		}
	}},
	{"the rows of a time are read apart", func(f *fixture) {
		lead := f.leadAs("a")
		f.count(lead, report("a", row("a", 30, 1, calls(1)), row("a", 60, 1, calls(2)), row("a", 90, 1, calls(3)), row("a", 120, 1, calls(4))))
		var epochs []int64
		f.must(f.RowsBetween(f.Context(), time.Unix(60, 0), time.Unix(120, 0), func(row centralcloud.Row) error {
			epochs = append(epochs, row.Epoch)
			return nil
		}))
		slices.Sort(epochs)
		if !slices.Equal(epochs, []int64{60, 90}) {
			f.Errorf("epochs are %v, want 60 and 90", epochs)
		}
	}},
	{"the highest revision of repeats counts until it is forgotten", func(f *fixture) {
		lead := f.leadAs("a")
		for _, revision := range []int64{3, 5, 4} {
			r := report("a")
			r.Repeats = []centralcloud.Repeats{repeats("a", 60, revision), repeats("a", 90, revision), repeats("b", 60, 3), repeats("a", 30, 3), repeats("a", 120, 3)}
			f.count(lead, r)
		}
		read := func() (got []centralcloud.Repeats) {
			f.Helper()
			f.must(f.RepeatsBetween(f.Context(), time.Unix(60, 0), time.Unix(120, 0), func(r centralcloud.Repeats) error {
				got = append(got, r)
				return nil
			}))
			slices.SortFunc(got, func(a, b centralcloud.Repeats) int { return a.Compare(b.RepeatsKey) })
			return got
		}
		if got, want := read(), []centralcloud.Repeats{repeats("a", 60, 5), repeats("b", 60, 3), repeats("a", 90, 5)}; !reflect.DeepEqual(got, want) {
			f.Errorf("repeats are %+v, want %+v", got, want)
		}
		f.must(f.Forget(f.Context(), lead, time.Unix(1, 0), time.Unix(90, 0)))
		if got, want := read(), []centralcloud.Repeats{repeats("a", 90, 5)}; !reflect.DeepEqual(got, want) {
			f.Errorf("after some were forgotten, repeats are %+v, want %+v", got, want)
		}
	}},
}
