package hubtest

import (
	"encoding/json"
	"reflect"
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
}
