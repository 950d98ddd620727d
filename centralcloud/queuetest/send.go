package queuetest

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"singularity/centralcloud"
)

var sendStories = []story{
	{"send/keeps bodies and headers as they are", sendKept},
	{"send/refuses what no database can store", sendRefused},
	{"send/takes messages up to the limit", sendLimit},
	{"send/a batch keeps its order", sendBatch},
	{"send/a batch is sent whole or not at all", sendBatchRefused},
}

func sendKept(f *fixture) {
	drafts := []centralcloud.Draft{
		{Body: json.RawMessage(`null`)},
		{Body: json.RawMessage(`{"b": [1, true, ""], "a": {"c": null}}`), Headers: json.RawMessage(`{"trace": "x"}`)},
		{Body: json.RawMessage(`123456789012345678901234567890.123456789`), Headers: json.RawMessage(`{}`)},
		{Body: json.RawMessage(`"\ud83d\ude00 \\u0000 ü \" \n"`)},
	}
	for _, draft := range drafts {
		_, err := f.Send(f.Context(), jobs, draft)
		f.must(err)
	}
	for i, m := range f.messages(jobs, 10) {
		if !sameJSON(f, m.Body, drafts[i].Body) || m.Headers == nil != (drafts[i].Headers == nil) || !sameJSON(f, m.Headers, drafts[i].Headers) {
			f.Errorf("read %s with headers %s, want %s with %s", m.Body, m.Headers, drafts[i].Body, drafts[i].Headers)
		}
		if age := time.Since(m.EnqueuedAt); age.Abs() > time.Minute {
			f.Errorf("message %d is %s old", m.ID, age)
		}
	}
}

// bad are messages that no queue takes.
var bad = map[string]centralcloud.Draft{
	"no body":              {},
	"empty body":           {Body: json.RawMessage{}},
	"half a document":      {Body: json.RawMessage(`{"a":`)},
	"two documents":        {Body: json.RawMessage(`1 2`)},
	"NUL":                  {Body: json.RawMessage(`"\u0000"`)},
	"half a surrogate":     {Body: json.RawMessage(`"\ud83d"`)},
	"halves the wrong way": {Body: json.RawMessage(`"\ude00\ud83d"`)},
	"not UTF-8":            {Body: json.RawMessage("\"\xff\"")},
	"too long":             {Body: json.RawMessage(`"` + strings.Repeat("x", centralcloud.MaxBody) + `"`)},
	"headers in a list":    {Body: json.RawMessage(`1`), Headers: json.RawMessage(`[]`)},
	"headers of null":      {Body: json.RawMessage(`1`), Headers: json.RawMessage(`null`)},
	"headers too long":     {Body: json.RawMessage(`1`), Headers: json.RawMessage(`{"a": "` + strings.Repeat("x", centralcloud.MaxBody) + `"}`)},
}

func sendRefused(f *fixture) {
	for name, draft := range bad {
		if _, err := f.Send(f.Context(), jobs, draft); !errors.Is(err, centralcloud.ErrBadMessage) {
			f.Errorf("%s: %v, want %v", name, err, centralcloud.ErrBadMessage)
		}
	}
	f.want("sent all the same", f.read(jobs, 100))
}

func sendLimit(f *fixture) {
	body := json.RawMessage(`"` + strings.Repeat("x", centralcloud.MaxBody-2) + `"`)
	_, err := f.Send(f.Context(), jobs, centralcloud.Draft{Body: body})
	f.must(err)
	if messages := f.messages(jobs, 1); len(messages) != 1 || string(messages[0].Body) != string(body) {
		f.Errorf("%d messages, want the one that was sent", len(messages))
	}
}

func sendBatch(f *fixture) {
	f.sent(1)
	batch := make([]centralcloud.Draft, 250)
	for i := range batch {
		batch[i] = draft(i + 2)
	}
	batch[7].Headers = json.RawMessage(`{"seven": 7}`)
	ids, err := f.SendBatch(f.Context(), jobs, batch)
	f.must(err)
	if len(ids) != len(batch) || ids[0] != 2 || ids[249] != 251 {
		f.Fatalf("ids %v, want those from 2 to 251", ids)
	}
	if ids, err := f.SendBatch(f.Context(), jobs, nil); err != nil || len(ids) != 0 {
		f.Errorf("none: %v, %v", ids, err)
	}
	for _, m := range f.messages(jobs, 1000) {
		if !sameJSON(f, m.Body, draft(int(m.ID)).Body) || (m.Headers != nil) != (m.ID == 9) {
			f.Errorf("message %d is %s, with headers %s", m.ID, m.Body, m.Headers)
		}
	}
	if left := f.read(jobs, 1000); len(left) != 0 {
		f.Errorf("%d messages are left, want that all were read at once", len(left))
	}
}

func sendBatchRefused(f *fixture) {
	for name, last := range bad {
		_, err := f.SendBatch(f.Context(), jobs, []centralcloud.Draft{draft(1), last})
		if !errors.Is(err, centralcloud.ErrBadMessage) || !strings.Contains(err.Error(), "message 1") {
			f.Errorf("%s: %v, want it to name message 1", name, err)
		}
	}
	f.want("sent all the same", f.read(jobs, 100))
}
