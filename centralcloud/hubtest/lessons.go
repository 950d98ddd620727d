package hubtest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

func pattern(name string, version int64, document string) centralcloud.Lesson {
	return centralcloud.Lesson{Type: centralcloud.TypePatternDiscovery, Name: name, Version: version, Document: json.RawMessage(document)}
}

// teach teaches a lesson and sends it to queues.
func (f *fixture) teach(lead hub.Lead, lesson centralcloud.Lesson, queues ...string) {
	f.Helper()
	message, err := centralcloud.TeachLesson(lesson, lead.At).Encode()
	f.must(err)
	f.must(f.Teach(f.Context(), lead, []centralcloud.Lesson{lesson}, []centralcloud.Draft{message}, queues))
}

// wantLessons checks all that was taught.
func (f *fixture) wantLessons(want ...centralcloud.Lesson) {
	f.Helper()
	got, err := f.Lessons(f.Context())
	f.must(err)
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		f.Errorf("lessons are %+v, want %+v", got, want)
	}
}

// wantTaught checks that each of some queues has one message, with version 1 of
// one lesson.
func (f *fixture) wantTaught(queues []string, kind, name string) {
	f.Helper()
	for _, queue := range queues {
		messages, err := f.Read(f.Context(), queue, time.Minute, 10)
		f.must(err)
		if len(messages) != 1 {
			f.Errorf("queue %s has %d messages, want 1", queue, len(messages))
			continue
		}
		lessons, err := centralcloud.DecodeLearning(messages[0].Body)
		f.must(err)
		if len(lessons) != 1 || lessons[0].Type != kind || lessons[0].Name != name || lessons[0].Version != 1 {
			f.Errorf("queue %s teaches %+v", queue, lessons)
		}
	}
}

// sample is a call of a boot at a time.
func sample(id string, at time.Time) centralcloud.Sample {
	return centralcloud.Sample{ID: id, Boot: "a-boot", At: at.UTC(), Call: centralcloud.Call{
		Workflow: "w", Step: "s", Attempt: 2, Arm: centralcloud.Arm{Provider: "p", Model: "m"}, TaskType: "math",
		ErrorClass: "timeout", ErrorPrint: "0011223344556677", Latency: 7, PolicyVersion: "1", Propensity: 1,
	}}
}

var lessonStories = []story{
	{"of each type and name the newest lesson is kept", func(f *fixture) {
		lead := f.leadAs("a")
		f.wantLessons()
		benchmarks := centralcloud.Lesson{Type: centralcloud.TypePerformanceBenchmark, Version: 9, Document: json.RawMessage(`{"models":[]}`)}
		f.teach(lead, pattern("b", 1, `{"x":"<1>"}`))
		f.teach(lead, pattern("a", 2, `{"x":2}`))
		f.teach(lead, benchmarks)
		f.teach(lead, pattern("b", 3, `{"x":3}`))
		f.wantLessons(pattern("a", 2, `{"x":2}`), pattern("b", 3, `{"x":3}`), benchmarks)
	}},
	{"of what is long past, a lesson that was withdrawn is forgotten", func(f *fixture) {
		lead := f.leadAs("a")
		f.teach(lead, pattern("a", 1, `{}`))
		f.teach(lead, pattern("b", 2, `null`))
		f.must(f.Forget(f.Context(), lead, lead.At.Add(-time.Second), lead.At))
		f.wantLessons(pattern("a", 1, `{}`), pattern("b", 2, `null`))
		f.must(f.Forget(f.Context(), lead, lead.At.Add(time.Second), lead.At.Add(time.Second)))
		f.wantLessons(pattern("a", 1, `{}`))
	}},
	{"a lesson goes into all queues that are there, with what is kept or not at all", func(f *fixture) {
		lead := f.leadAs("a")
		there := []string{"instance_learning_a", "instance_learning_b"}
		for _, queue := range there {
			f.must(f.CreateQueue(f.Context(), queue))
		}
		f.teach(lead, pattern("a", 1, `{"x":1}`), append(there, "instance_learning_gone")...)
		bad := []centralcloud.Draft{{Body: []byte(`1`)}, {Body: []byte(`{`)}}
		if err := f.Teach(f.Context(), lead, []centralcloud.Lesson{pattern("a", 2, `{}`)}, bad, there); err == nil {
			f.Error("a message that is no JSON was sent")
		}
		f.wantLessons(pattern("a", 1, `{"x":1}`))
		f.wantTaught(there, centralcloud.TypePatternDiscovery, "a")
	}},
	{"the newest samples are read as they came", func(f *fixture) {
		lead := f.leadAs("a")
		at := time.Unix(1_700_000_000, 0)
		r := report("a")
		for i, id := range []string{"r/1/0", "r/2/0", "r/3/0", "r/4/0"} {
			r.Samples = append(r.Samples, sample(id, at.Add(time.Duration(i)*time.Second)))
		}
		f.count(lead, r)
		f.count(lead, r)
		var got []centralcloud.Sample
		f.must(f.SamplesSince(f.Context(), at.Add(time.Second), 2, func(s centralcloud.Sample) error {
			got = append(got, s)
			return nil
		}))
		slices.SortFunc(got, func(a, b centralcloud.Sample) int { return strings.Compare(a.ID, b.ID) })
		if !reflect.DeepEqual(got, r.Samples[2:]) {
			f.Errorf("samples are %+v, want %+v", got, r.Samples[2:])
		}
		got = nil
		f.must(f.SamplesSince(f.Context(), at.Add(time.Second), 9, func(s centralcloud.Sample) error {
			got = append(got, s)
			return nil
		}))
		if len(got) != 3 {
			f.Errorf("%d samples are from the time on, want 3", len(got))
		}
	}},
	{"the rows of the latest epochs are read apart", func(f *fixture) {
		lead := f.leadAs("a")
		f.count(lead, report("a", row("a", 30, 1, calls(1)), row("a", 60, 1, calls(2)), row("a", 90, 1, calls(3))))
		var epochs []int64
		f.must(f.RowsSince(f.Context(), time.Unix(60, 0), func(row centralcloud.Row) error {
			epochs = append(epochs, row.Epoch)
			return nil
		}))
		slices.Sort(epochs)
		if !slices.Equal(epochs, []int64{60, 90}) {
			f.Errorf("epochs are %v, want 60 and 90", epochs)
		}
	}},
}
