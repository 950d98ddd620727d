package queuetest

import (
	"errors"

	"singularity/centralcloud"
)

var transactionStories = []story{
	{"transaction/what it did is there when it commits", transactionCommits},
	{"transaction/nothing has happened when it is rolled back, not even a reading", transactionRollsBack},
}

func transactionCommits(f *fixture) {
	f.create(other)
	f.sent(2)
	f.read(jobs, 1) // the lease, by itself
	err := f.config.Transaction(f, f.Queue, func(queues centralcloud.Queue) error {
		if _, err := queues.Send(f.Context(), other, draft(1)); err != nil {
			return err
		}
		deleted, err := queues.Delete(f.Context(), jobs, 1)
		f.want("deleted", deleted, 1)
		return err
	})
	f.must(err)
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10), 2)
	f.want("sent", f.read(other, 10), 1)
}

func transactionRollsBack(f *fixture) {
	f.create(other)
	f.sent(2)
	died := errors.New("the process died here")
	err := f.config.Transaction(f, f.Queue, func(queues centralcloud.Queue) error {
		messages, err := queues.Read(f.Context(), jobs, lease, 1)
		f.want("read", idsOf(messages), 1)
		if err != nil {
			return err
		}
		if _, err := queues.Send(f.Context(), other, draft(1)); err != nil {
			return err
		}
		if _, err := queues.Archive(f.Context(), jobs, 1); err != nil {
			return err
		}
		return died
	})
	if !errors.Is(err, died) {
		f.Fatal(err)
	}
	f.want("sent", f.read(other, 10))
	f.want("archive", f.archived())
	messages := f.messages(jobs, 10)
	f.want("left", idsOf(messages), 1, 2)
	if messages[0].Reads != 1 {
		f.Errorf("read %d times, want once", messages[0].Reads)
	}
}
