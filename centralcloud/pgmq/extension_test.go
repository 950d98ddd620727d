package pgmq_test

import (
	"fmt"
	"strings"
	"testing"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
	"singularity/migrations"
)

// extension is files of an extension that has the shape of pgmq. Its functions are
// those that databases without it get.
func extension(t *testing.T, version string, forSuperusers bool) map[string]string {
	t.Helper()
	script := migrations.CentralCloudPostgres()[0].Up
	for _, not := range []string{"CREATE SCHEMA pgmq;", "COMMENT ON SCHEMA pgmq IS"} { // the server does, or nobody
		if strings.Count(script, not) != 1 {
			t.Fatalf("%q is not once in the functions of our own", not)
		}
		script = strings.Replace(script, not, "-- "+not, 1)
	}
	return map[string]string{
		"pgmq.control":              fmt.Sprintf("default_version = '%s'\nschema = 'pgmq'\nrelocatable = false\nsuperuser = %t\n", version, forSuperusers),
		"pgmq--" + version + ".sql": script,
	}
}

func TestExtensionIsUsedWhereTheServerHasIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, version string
		forSuperusers bool
		extension     bool // is used
		pgmq          string
	}{
		{"and anybody may", "1.11.0", false, true, "the extension, 1.11.0"},
		{"and only superusers may", "1.11.0", true, false, "functions of our own, as in pgmq 1.11"},
		{"and it is old", "1.5.1", false, false, "functions of our own, as in pgmq 1.11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := testpostgres.Start(t, testpostgres.Config{Extensions: extension(t, c.version, c.forSuperusers)})
			url := server.URL(testpostgres.Database)
			all := up(t, url)
			d := &database{t, connect(t, url), url}
			if got := one[bool](d, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgmq')`); got != c.extension {
				t.Errorf("the extension is there: %t", got)
			}
			store := open(t, url)
			if condition, err := store.Inspect(t.Context()); err != nil || !strings.HasPrefix(condition.Pgmq, c.pgmq) || condition.Migration != condition.Newest {
				t.Errorf("it is %+v, %v; want %s", condition, err, c.pgmq)
			}
			useQueues(t, store)
			if again := up(t, url); len(again) != 0 {
				t.Errorf("applied once more: %+v", again)
			}
			for range all {
				if _, err := pgmq.MigrateDown(t.Context(), url); err != nil {
					t.Fatal(err)
				}
			}
			if got := one[bool](d, `SELECT to_regnamespace('pgmq') IS NOT NULL`); got != c.extension {
				t.Errorf("after all was undone there is a schema pgmq: %t; only ours is to go", got)
			}
		})
	}
}

// useQueues does with queues what a hub does.
func useQueues(t *testing.T, store opened) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, queue := range []string{centralcloud.UpQueue, centralcloud.DeadUp} {
		must(store.CreateQueue(t.Context(), queue))
	}
	heard := awaiting(t, store)
	listens(t, store.url)
	drafts := []centralcloud.Draft{{Body: []byte(`1`)}, {Body: []byte(`2`)}, {Body: []byte(`3`)}}
	must(second(store.SendBatch(t.Context(), centralcloud.UpQueue, drafts)))
	must(<-heard)
	messages, err := store.Read(t.Context(), centralcloud.UpQueue, 0, 10)
	must(err)
	if len(messages) != 3 {
		t.Fatalf("read %+v, want three messages", messages)
	}
	must(second(store.Move(t.Context(), centralcloud.UpQueue, messages[0], centralcloud.DeadUp, nil)))
	must(second(store.Archive(t.Context(), centralcloud.UpQueue, messages[1].ID)))
	must(second(store.Delete(t.Context(), centralcloud.UpQueue, messages[2].ID)))
	if metrics, err := store.QueueMetrics(t.Context(), centralcloud.UpQueue); err != nil || metrics.Length != 0 || metrics.Total != 3 {
		t.Errorf("metrics %+v, %v", metrics, err)
	}
	if dropped, err := store.DropQueue(t.Context(), centralcloud.UpQueue); err != nil || !dropped {
		t.Errorf("dropped: %t, %v", dropped, err)
	}
}
