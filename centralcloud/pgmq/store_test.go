package pgmq_test

import (
	"encoding/json"
	"strings"
	"testing"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

func TestQueuesWorkThroughAPooler(t *testing.T) {
	t.Parallel()
	url := testpostgres.Pooler(t, testpostgres.Empty(t))
	up(t, url)
	store := open(t, url)
	for _, queue := range []string{"jobs", "dead"} {
		if err := store.CreateQueue(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
	}
	drafts := []centralcloud.Draft{{Body: json.RawMessage(`1`), Headers: json.RawMessage(`{"h": 1}`)}, {Body: json.RawMessage(`2`)}}
	if ids, err := store.SendBatch(t.Context(), "jobs", drafts); err != nil || len(ids) != 2 {
		t.Fatalf("send: %v, %v", ids, err)
	}
	messages, err := store.Read(t.Context(), "jobs", 0, 10)
	if err != nil || len(messages) != 2 {
		t.Fatalf("read: %+v, %v", messages, err)
	}
	if moved, err := store.Move(t.Context(), "jobs", messages[0], "dead", nil); err != nil || !moved {
		t.Errorf("move: %t, %v", moved, err)
	}
	if deleted, err := store.Delete(t.Context(), "jobs", 1, 2); err != nil || len(deleted) != 1 {
		t.Errorf("delete: %v, %v", deleted, err)
	}
}

func TestErrorsSayWhichPrivilegeIsMissing(t *testing.T) {
	t.Parallel()
	url, admin := onServer(t)
	admin.exec(`REVOKE CREATE ON DATABASE singularity FROM singularity; ALTER DATABASE singularity OWNER TO postgres`)
	_, err := pgmq.MigrateUp(t.Context(), url)
	if err == nil || !strings.Contains(err.Error(), "lacks a privilege") {
		t.Errorf("migrate: %v, want advice", err)
	}
	up(t, admin.url)
	if _, err := pgmq.Open(t.Context(), pgmq.Config{URL: url}); err == nil || !strings.Contains(err.Error(), "lacks a privilege") {
		t.Errorf("open: %v, want advice", err)
	}
}
