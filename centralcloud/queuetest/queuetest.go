// Package queuetest is the suite that the queues of every database pass.
package queuetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
)

// Config tells the suite how to get at the queues under test.
type Config struct {
	// Open returns the queues of a fresh database and sees to their end.
	Open func(t testing.TB) centralcloud.Queue
	// Reopen opens the database of queues that Open returned once more, as
	// another process does after the first died.
	Reopen func(t testing.TB, queues centralcloud.Queue) centralcloud.Queue
	// Elapse has so much time pass for the leases in a queue.
	Elapse func(t testing.TB, queues centralcloud.Queue, queue string, d time.Duration)
	// Archived is the ids in a queue's archive, in order.
	Archived func(t testing.TB, queues centralcloud.Queue, queue string) []int64
	// Transaction calls f with the queues as a transaction has them, which
	// commits when f returns nil.
	Transaction func(t testing.TB, queues centralcloud.Queue, f func(centralcloud.Queue) error) error
}

// Run runs the suite.
func Run(t *testing.T, config Config) {
	for _, story := range slices.Concat(queueStories, sendStories, readStories, takeStories, transactionStories, deadLetterStories, letterStories) {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{T: t, Queue: config.Open(t), config: config}
			f.create(jobs)
			story.tell(f)
		})
	}
}

// story is one behaviour of queues.
type story struct {
	name string
	tell func(f *fixture)
}

// The queues of the stories: the first is there when they begin.
const (
	jobs  = "jobs"
	dead  = "dead_jobs"
	other = "other"
)

// lease is one that does not end while a story is told.
const lease = time.Hour

// fixture is the queues that a story is told of.
type fixture struct {
	*testing.T
	centralcloud.Queue
	config Config
}

func (f *fixture) create(queue string) {
	f.Helper()
	f.must(f.CreateQueue(f.Context(), queue))
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// draft is a message with a number for a body.
func draft(n int) centralcloud.Draft {
	return centralcloud.Draft{Body: fmt.Appendf(nil, "%d", n)}
}

// sent puts messages with the numbers from 1 for bodies into a queue, whose ids
// are the same.
func (f *fixture) sent(messages int) {
	f.Helper()
	for n := range messages {
		id, err := f.Send(f.Context(), jobs, draft(n+1))
		f.must(err)
		if id != int64(n+1) {
			f.Fatalf("message %d has id %d", n+1, id)
		}
	}
}

// read reads a queue and returns the ids.
func (f *fixture) read(queue string, limit int) []int64 {
	f.Helper()
	return idsOf(f.messages(queue, limit))
}

func (f *fixture) messages(queue string, limit int) []centralcloud.Message {
	f.Helper()
	messages, err := f.Read(f.Context(), queue, lease, limit)
	f.must(err)
	return messages
}

func idsOf(messages []centralcloud.Message) []int64 {
	var ids []int64
	for _, message := range messages {
		ids = append(ids, message.ID)
	}
	return ids
}

// elapse ends all leases of an hour.
func (f *fixture) elapse(queue string) {
	f.Helper()
	f.config.Elapse(f, f.Queue, queue, 2*lease)
}

func (f *fixture) archived() []int64 {
	f.Helper()
	return f.config.Archived(f, f.Queue, jobs)
}

func (f *fixture) want(what string, got []int64, want ...int64) {
	f.Helper()
	if !slices.Equal(got, want) {
		f.Errorf("%s: %v, want %v", what, got, want)
	}
}

// sameJSON reports that two documents are equal, numbers by their digits.
func sameJSON(t testing.TB, a, b json.RawMessage) bool {
	t.Helper()
	return reflect.DeepEqual(parsed(t, a), parsed(t, b))
}
