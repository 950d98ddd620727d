package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"singularity/centralcloud"
)

var deadLetterStories = []story{
	{"consumer/deletes what was done and stops at nothing", consumerDone},
	{"consumer/lets a message wait that failed, and buries it at the last attempt", consumerPoison},
	{"consumer/buries a bad message at once", consumerBad},
	{"consumer/buries unseen what its readers did not survive", consumerKiller},
	{"consumer/leaves the rest when it is told to stop", consumerStopped},
	{"consumer/leaves what its work has deleted", consumerDeleted},
}

var errWork = errors.New("the disk is on fire \x00\xff")

func (f *fixture) consumer() centralcloud.Consumer {
	f.Helper()
	f.create(dead)
	return centralcloud.Consumer{Receiver: f.Queue, Queue: jobs, Dead: dead, Lease: lease, Attempts: 3}
}

func (f *fixture) round(c centralcloud.Consumer, want centralcloud.Round, work func(context.Context, centralcloud.Message) error) {
	f.Helper()
	if round, err := c.Round(f.Context(), work); err != nil || round != want {
		f.Errorf("round %+v, %v; want %+v", round, err, want)
	}
}

// letters is what is in the queue of dead letters.
func (f *fixture) letters() []centralcloud.DeadLetter {
	f.Helper()
	var letters []centralcloud.DeadLetter
	for _, message := range f.messages(dead, 10) {
		var letter centralcloud.DeadLetter
		f.must(json.Unmarshal(message.Headers, &letter))
		if !sameJSON(f, message.Body, draft(int(letter.ID)).Body) {
			f.Errorf("dead letter %+v has the body %s", letter, message.Body)
		}
		letters = append(letters, letter)
	}
	return letters
}

// poisoned works on all but one message.
func poisoned(id int64, err error) func(context.Context, centralcloud.Message) error {
	return func(_ context.Context, m centralcloud.Message) error {
		if m.ID == id {
			return err
		}
		return nil
	}
}

func consumerDone(f *fixture) {
	f.sent(12)
	c := f.consumer()
	var got []int64
	work := func(_ context.Context, m centralcloud.Message) error {
		got = append(got, m.ID)
		return nil
	}
	f.round(c, centralcloud.Round{Done: 10}, work)
	f.round(c, centralcloud.Round{Done: 2}, work)
	f.round(c, centralcloud.Round{}, work)
	f.want("worked on", got, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	f.elapse(jobs)
	f.want("left", f.read(jobs, 20))
}

func consumerPoison(f *fixture) {
	f.sent(1)
	c := f.consumer()
	c.Attempts = 12
	for range c.Attempts - 2 {
		f.read(jobs, 1)
		f.elapse(jobs)
	}
	f.round(c, centralcloud.Round{Deferred: 1}, poisoned(1, errWork))
	_, err := f.Send(f.Context(), jobs, draft(2))
	f.must(err)
	f.round(c, centralcloud.Round{Done: 1}, poisoned(1, errWork))
	f.config.Elapse(f, f.Queue, jobs, centralcloud.Backoff(c.Attempts-1))
	_, err = f.Send(f.Context(), jobs, draft(3))
	f.must(err)
	f.round(c, centralcloud.Round{Done: 1, Buried: 1}, poisoned(1, errWork))
	letters := f.letters()
	if len(letters) != 1 {
		f.Fatalf("dead letters %+v, want one", letters)
	}
	letter := letters[0]
	if letter.From != jobs || letter.ID != 1 || letter.Reads != c.Attempts || letter.Error != "the disk is on fire " || letter.Headers != nil {
		f.Errorf("dead letter %+v", letter)
	}
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10))
}

func consumerBad(f *fixture) {
	_, err := f.Send(f.Context(), jobs, centralcloud.Draft{Body: json.RawMessage(`1`), Headers: json.RawMessage(`{"trace": "x"}`)})
	f.must(err)
	f.round(f.consumer(), centralcloud.Round{Buried: 1},
		poisoned(1, fmt.Errorf("decode: %w: %s", centralcloud.ErrBadMessage, strings.Repeat("x", 10_000))))
	letters := f.letters()
	if len(letters) != 1 || letters[0].Reads != 1 || len(letters[0].Error) > 5_000 || !sameJSON(f, letters[0].Headers, json.RawMessage(`{"trace": "x"}`)) {
		f.Errorf("dead letters %+v, want one, with its own headers and not all of the error", letters)
	}
}

func consumerKiller(f *fixture) {
	f.sent(1)
	c := f.consumer()
	for range c.Attempts {
		f.want("read by one that dies", f.read(jobs, 1), 1)
		f.elapse(jobs)
	}
	f.round(c, centralcloud.Round{Buried: 1}, func(context.Context, centralcloud.Message) error {
		f.Error("the message was worked on once more")
		return nil
	})
	if letters := f.letters(); len(letters) != 1 || letters[0].Reads != 4 || !strings.Contains(letters[0].Error, "read 3 times") {
		f.Errorf("dead letters %+v, want one that says how often it was read", letters)
	}
}

func consumerStopped(f *fixture) {
	f.sent(3)
	c := f.consumer()
	ctx, stop := context.WithCancel(f.Context())
	round, err := c.Round(ctx, func(_ context.Context, m centralcloud.Message) error {
		if m.ID == 2 {
			stop()
			return ctx.Err()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || round != (centralcloud.Round{Done: 1}) {
		f.Errorf("round %+v, %v; want one message done", round, err)
	}
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10), 2, 3)
}

func consumerDeleted(f *fixture) {
	f.sent(1)
	f.round(f.consumer(), centralcloud.Round{Done: 1}, func(ctx context.Context, m centralcloud.Message) error {
		return f.config.Transaction(f, f.Queue, func(queues centralcloud.Queue) error {
			_, err := queues.Delete(ctx, jobs, m.ID)
			return err
		})
	})
	f.want("dead", f.read(dead, 10))
}
