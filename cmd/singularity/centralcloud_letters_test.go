package main

import (
	"encoding/json"
	"strings"
	"testing"

	"singularity/centralcloud"
	"singularity/centralcloud/sqlite"
)

// graveyard is a hub's folder with a letter of each kind: of a node, of the hub, and
// of nobody.
func graveyard(t *testing.T) (store *sqlite.Store, dir string) {
	t.Helper()
	dir = t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { _ = store.Close() })
	for _, queue := range []string{centralcloud.UpQueue, centralcloud.DeadUp, centralcloud.DeadDown} {
		must(t, store.CreateQueue(t.Context(), queue))
	}
	for _, letter := range []struct{ queue, body, headers string }{
		{centralcloud.DeadUp, `{"type":"rumour"}`, `{"from":"centralcloud_updates","msg_id":7,"read_ct":1,"error":"bad message"}`},
		{centralcloud.DeadUp, `{"by":"hand"}`, `{}`},
		{centralcloud.DeadDown, `{"type":"odd"}`, `{"from":"instance_learning_gone","msg_id":8,"read_ct":5,"error":"no such field"}`},
	} {
		_, err := store.Send(t.Context(), letter.queue, centralcloud.Draft{Body: json.RawMessage(letter.body), Headers: json.RawMessage(letter.headers)})
		must(t, err)
	}
	return store, dir
}

func TestDeadLettersAreShownWithWhatBefellThem(t *testing.T) {
	t.Parallel()
	_, dir := graveyard(t)
	for range 2 { // they stay
		got := at("", "centralcloud", "dead-letters", "--data-dir", dir, "-o", "json").run(t.Context())
		var list []deadLetter
		must(t, json.Unmarshal([]byte(got.stdout), &list))
		if len(list) != 3 || list[0].Letter != "dead_up/1" || list[0].From != centralcloud.UpQueue || list[0].Error != "bad message" ||
			string(list[0].Message) != `{"type":"rumour"}` || list[1].From != "" || list[2].Letter != "dead_down/1" || list[2].Reads != 5 || list[2].DeadAt.IsZero() {
			t.Errorf("dead letters %+v", list)
		}
	}
	if got := at("", "centralcloud", "dead-letters", "dead_down/1", "--data-dir", dir).run(t.Context()); got.code != exitDone ||
		!strings.Contains(got.stdout, "instance_learning_gone  5      no such field") || strings.Contains(got.stdout, "dead_up") {
		t.Errorf("one of them: %+v", got)
	}
}

func TestDeadLettersAreSentAgainOrDeleted(t *testing.T) {
	t.Parallel()
	store, dir := graveyard(t)
	verb := func(args ...string) result {
		return at("", append([]string{"centralcloud", "dead-letters", "--data-dir", dir}, args...)...).run(t.Context())
	}
	length := func(queue string) int64 {
		metrics, err := store.QueueMetrics(t.Context(), queue)
		must(t, err)
		return metrics.Length
	}
	if got := verb("--send-again", "dead_up/1"); got.code != exitDone || !strings.Contains(got.stderr, "sent 1 again") || length(centralcloud.UpQueue) != 1 || length(centralcloud.DeadUp) != 1 {
		t.Errorf("sent again: %+v", got)
	}
	if got := verb("--send-again", "dead_up/1"); got.code != exitUnknown || !strings.Contains(got.stderr, `"dead_up/1"`) {
		t.Errorf("sent once more: %+v, want it unknown", got)
	}
	if got := verb("--send-again", "dead_up/2"); got.code != exitRefused || !strings.Contains(got.stderr, "only deleting it is left") {
		t.Errorf("of nobody: %+v, want it refused", got)
	}
	if got := verb("--send-again", "dead_down/1"); got.code != exitRefused || length(centralcloud.DeadDown) != 1 {
		t.Errorf("to a queue that is gone: %+v, want it refused, and the letter left", got)
	}
	if got := verb("--send-again", "--delete"); got.code != exitUsage {
		t.Errorf("both at once: %+v", got)
	}
	if got := verb("--delete"); got.code != exitDone || !strings.Contains(got.stderr, "deleted 2") || length(centralcloud.DeadUp)+length(centralcloud.DeadDown) != 0 {
		t.Errorf("deleted: %+v", got)
	}
}
