package pgmq_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

func up(t *testing.T, url string) []pgmq.Migration {
	t.Helper()
	applied, err := pgmq.MigrateUp(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func refuses(t *testing.T, url string, want error, text string) {
	t.Helper()
	_, err := pgmq.Open(t.Context(), pgmq.Config{URL: url})
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("open: %v, want %v and %q", err, want, text)
	}
}

func TestManyHubsMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := testpostgres.Empty(t)
	var lock sync.Mutex
	var applied []pgmq.Migration
	var hubs sync.WaitGroup
	for range 5 {
		hubs.Go(func() {
			migrations, err := pgmq.MigrateUp(t.Context(), url)
			if err != nil {
				t.Errorf("migrate: %v", err)
			}
			lock.Lock()
			defer lock.Unlock()
			applied = append(applied, migrations...)
		})
	}
	hubs.Wait()
	last := int64(0)
	for _, migration := range applied {
		if migration.Number <= last || migration.Name == "" {
			t.Errorf("migration %+v after number %d; want each once, and with a name", migration, last)
		}
		last = migration.Number
	}
	if len(applied) == 0 || applied[0].Name != "pgmq" {
		t.Errorf("applied %+v, want pgmq first", applied)
	}
	open(t, url)
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	url := testpostgres.Empty(t)
	if undone, err := pgmq.MigrateDown(t.Context(), url); err != nil || undone != nil {
		t.Errorf("down: %+v, %v; want nothing to undo", undone, err)
	}
	all := up(t, url)
	for _, migration := range slices.Backward(all) {
		if undone, err := pgmq.MigrateDown(t.Context(), url); err != nil || undone == nil || *undone != migration {
			t.Fatalf("down: %+v, %v; want %+v", undone, err, migration)
		}
		refuses(t, url, pgmq.ErrNotMigrated, "singularity centralcloud --migrate")
	}
	d := &database{t, connect(t, url), url}
	d.holds(`SELECT to_regnamespace('pgmq') IS NULL`)
	if again := up(t, url); len(again) != len(all) {
		t.Errorf("up: %+v, want all %d", again, len(all))
	}
	open(t, url)
}

func TestOpenTellsWhatIsWrongWithTheDatabase(t *testing.T) {
	t.Parallel()
	refuses(t, testpostgres.Empty(t), pgmq.ErrNotMigrated, "singularity centralcloud --migrate")
	newer := setup(t)
	newer.exec(`INSERT INTO centralcloud.schema_migrations (version_id, is_applied) VALUES (999, true)`)
	refuses(t, newer.url, pgmq.ErrNewer, "999")
	if _, err := pgmq.MigrateUp(t.Context(), newer.url); !errors.Is(err, pgmq.ErrNewer) {
		t.Errorf("up: %v, want %v", err, pgmq.ErrNewer)
	}
	if _, err := pgmq.Open(t.Context(), pgmq.Config{Connections: -1}); err == nil || !strings.Contains(err.Error(), "URL") || !strings.Contains(err.Error(), "Connections") {
		t.Errorf("open: %v, want both problems", err)
	}
}

func TestPgmqThatWentIsInstalledAgain(t *testing.T) {
	t.Parallel()
	d := setup(t)
	store := open(t, d.url)
	d.exec(`DROP SCHEMA pgmq CASCADE`)
	if _, err := store.Queues(t.Context()); !errors.Is(err, pgmq.ErrNotMigrated) {
		t.Errorf("list queues: %v, want %v", err, pgmq.ErrNotMigrated)
	}
	refuses(t, d.url, pgmq.ErrNotMigrated, "pgmq is missing")
	if applied := up(t, d.url); len(applied) != 0 {
		t.Errorf("applied %+v, want that the migrations stand", applied)
	}
	if err := store.CreateQueue(t.Context(), "jobs"); err != nil {
		t.Error(err)
	}
}

func TestPgmqOfOthersIsUsedAndLeft(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("theirs")
	d.exec(`COMMENT ON SCHEMA pgmq IS 'somebody else installed this'`)
	for {
		undone, err := pgmq.MigrateDown(t.Context(), d.url)
		if err != nil {
			t.Fatal(err)
		}
		if undone == nil {
			break
		}
	}
	up(t, d.url)
	if queues, err := open(t, d.url).Queues(t.Context()); err != nil || len(queues) != 1 {
		t.Errorf("queues %q, %v; want theirs", queues, err)
	}
}

func TestAnotherSchemaPgmqIsNotTouched(t *testing.T) {
	t.Parallel()
	d := &database{T: t, url: testpostgres.Empty(t)}
	d.Conn = connect(t, d.url)
	d.exec(`CREATE SCHEMA pgmq CREATE TABLE mine (n int)`)
	if _, err := pgmq.MigrateUp(t.Context(), d.url); err == nil || !strings.Contains(err.Error(), "rename it") {
		t.Errorf("up: %v, want advice", err)
	}
	d.holds(`SELECT count(*) = 1 FROM pg_class WHERE relnamespace = 'pgmq'::regnamespace`)
}

func TestOldExtensionIsRefused(t *testing.T) {
	t.Parallel()
	url, admin := onServer(t)
	up(t, url)
	admin.pretendExtension("1.5.1")
	for name, err := range map[string]error{"open": openError(t, url), "up": second(pgmq.MigrateUp(t.Context(), url))} {
		if err == nil || !strings.Contains(err.Error(), "1.5.1") || !strings.Contains(err.Error(), "ALTER EXTENSION pgmq UPDATE") {
			t.Errorf("%s: %v, want the version and advice", name, err)
		}
	}
}

func openError(t *testing.T, url string) error {
	t.Helper()
	return second(pgmq.Open(t.Context(), pgmq.Config{URL: url}))
}

func second[T any](_ T, err error) error { return err }

// onServer is a database on a server of its own, and a session of the superuser
// there.
func onServer(t *testing.T) (url string, admin *database) {
	t.Helper()
	server := testpostgres.Start(t, testpostgres.Config{})
	url = server.AdminURL(testpostgres.Database)
	return server.URL(testpostgres.Database), &database{t, connect(t, url), url}
}

// pretendExtension says that schema pgmq is that of the extension.
func (d *database) pretendExtension(version string) {
	d.Helper()
	d.exec(`SET allow_system_table_mods = on`)
	d.exec(`
		INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
		SELECT 99999, 'pgmq', nspowner, oid, false, $1 FROM pg_namespace WHERE nspname = 'pgmq'`, version)
}

func TestCommittedMessagesSurviveACrashOfTheServer(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Config{})
	url := server.URL(testpostgres.Database)
	up(t, url)
	store := open(t, url)
	if err := store.CreateQueue(t.Context(), "jobs"); err != nil {
		t.Fatal(err)
	}
	var lock sync.Mutex
	acknowledged := map[int64]bool{}
	enough := make(chan struct{})
	var senders sync.WaitGroup
	for range 3 {
		senders.Go(func() {
			for {
				id, err := store.Send(t.Context(), "jobs", centralcloud.Draft{Body: []byte(`1`)})
				if err != nil {
					return
				}
				lock.Lock()
				acknowledged[id] = true
				if len(acknowledged) == 50 {
					close(enough)
				}
				lock.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(time.Minute):
		t.Error("50 messages were not acknowledged within a minute")
	}
	server.Kill9(t)
	senders.Wait()
	messages, err := open(t, url).Read(t.Context(), "jobs", 0, len(acknowledged)*2)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range messages {
		delete(acknowledged, message.ID)
	}
	if len(acknowledged) != 0 {
		t.Errorf("%d messages were acknowledged and are gone", len(acknowledged))
	}
}
