package queuetest

import (
	"encoding/json"
	"errors"

	"singularity/centralcloud"
)

var takeStories = []story{
	{"take/deletes what is there, leased or not", takeDeleted},
	{"take/archives what is there", takeArchived},
	{"take/moves a message with other headers", takeMoved},
	{"take/moves nothing that is gone", takeGone},
	{"take/leaves a message that cannot be moved", takeUnmoved},
}

func takeDeleted(f *fixture) {
	f.sent(3)
	f.read(jobs, 1)
	deleted, err := f.Delete(f.Context(), jobs, 7, 3, 1, 3)
	f.must(err)
	f.want("deleted", deleted, 1, 3)
	deleted, err = f.Delete(f.Context(), jobs)
	f.must(err)
	f.want("deleted, of none", deleted)
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10), 2)
	f.want("archive", f.archived())
}

func takeArchived(f *fixture) {
	f.sent(3)
	f.read(jobs, 1)
	archived, err := f.Archive(f.Context(), jobs, 7, 3, 1, 3)
	f.must(err)
	f.want("archived", archived, 1, 3)
	archived, err = f.Archive(f.Context(), jobs, 1)
	f.must(err)
	f.want("archived again", archived)
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10), 2)
	f.want("archive", f.archived(), 1, 3)
}

func takeMoved(f *fixture) {
	f.create(dead)
	_, err := f.Send(f.Context(), jobs, centralcloud.Draft{Body: json.RawMessage(`{"a": 1}`), Headers: json.RawMessage(`{"old": 1}`)})
	f.must(err)
	message := f.messages(jobs, 1)[0]
	if moved, err := f.Move(f.Context(), jobs, message, dead, json.RawMessage(`{"new": 2}`)); err != nil || !moved {
		f.Fatalf("move: %t, %v", moved, err)
	}
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10))
	f.want("archive", f.archived())
	got := f.messages(dead, 10)
	if len(got) != 1 || !sameJSON(f, got[0].Body, message.Body) || !sameJSON(f, got[0].Headers, json.RawMessage(`{"new": 2}`)) || got[0].Reads != 1 {
		f.Errorf("moved %+v, want its body with the new headers", got)
	}
}

func takeGone(f *fixture) {
	f.create(dead)
	f.sent(1)
	message := f.messages(jobs, 1)[0]
	_, err := f.Delete(f.Context(), jobs, message.ID)
	f.must(err)
	if moved, err := f.Move(f.Context(), jobs, message, dead, nil); err != nil || moved {
		f.Errorf("move: %t, %v; want that it was gone", moved, err)
	}
	f.want("moved all the same", f.read(dead, 10))
}

func takeUnmoved(f *fixture) {
	f.create(dead)
	f.sent(1)
	message := f.messages(jobs, 1)[0]
	if _, err := f.Move(f.Context(), jobs, message, "missing", nil); !errors.Is(err, centralcloud.ErrNoQueue) {
		f.Errorf("move: %v, want %v", err, centralcloud.ErrNoQueue)
	}
	if _, err := f.Move(f.Context(), jobs, message, dead, json.RawMessage(`{`)); !errors.Is(err, centralcloud.ErrBadMessage) {
		f.Errorf("move: %v, want %v", err, centralcloud.ErrBadMessage)
	}
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10), 1)
	f.want("moved all the same", f.read(dead, 10))
}
