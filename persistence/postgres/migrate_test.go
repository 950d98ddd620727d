package postgres_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

func exec(t testing.TB, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestTenNodesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := testpostgres.Empty(t)
	var applied atomic.Int64
	var nodes sync.WaitGroup
	for range 10 {
		nodes.Go(func() {
			migrations, err := postgres.MigrateUp(t.Context(), url)
			if err != nil {
				t.Errorf("migrate: %v", err)
			}
			applied.Add(int64(len(migrations)))
		})
	}
	nodes.Wait()
	status, err := postgres.MigrationStatus(t.Context(), url)
	if err != nil || len(status) == 0 {
		t.Fatalf("status %+v, %v", status, err)
	}
	if got := applied.Load(); got != int64(len(status)) {
		t.Errorf("%d migrations were applied by all nodes together, want each of %d once", got, len(status))
	}
	for i, migration := range status {
		if migration.Number != i+1 || migration.Name == "" || migration.AppliedAt == nil {
			t.Errorf("migration %+v, want number %d, with a name and applied", migration, i+1)
		}
	}
	openAt(t, postgres.Config{URL: url})
}

func TestMigrationsGoDownOneByOneAndUpAgain(t *testing.T) {
	t.Parallel()
	url := testpostgres.URL(t)
	all, err := postgres.MigrationStatus(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(all); i > 0; i-- {
		undone, err := postgres.MigrateDown(t.Context(), url)
		if err != nil || undone == nil || undone.Number != i || undone.AppliedAt != nil {
			t.Fatalf("migrate down: %+v, %v; want number %d", undone, err, i)
		}
		if _, err := postgres.Open(t.Context(), postgres.Config{URL: url}); !errors.Is(err, persistence.ErrSchemaMissing) {
			t.Errorf("open at migration %d: %v, want %v", i-1, err, persistence.ErrSchemaMissing)
		}
	}
	if undone, err := postgres.MigrateDown(t.Context(), url); err != nil || undone != nil {
		t.Errorf("migrate down: %+v, %v; want nothing left", undone, err)
	}
	if applied, err := postgres.MigrateUp(t.Context(), url); err != nil || len(applied) != len(all) {
		t.Errorf("migrate up: %+v, %v; want all %d", applied, err, len(all))
	}
}

func TestOpenTellsWhatIsWrongWithTheSchema(t *testing.T) {
	t.Parallel()
	empty := testpostgres.Empty(t)
	_, err := postgres.Open(t.Context(), postgres.Config{URL: empty})
	if !errors.Is(err, persistence.ErrSchemaMissing) || !strings.Contains(err.Error(), "singularity migrate up") {
		t.Errorf("open an empty database: %v, want it to name the command", err)
	}
	if status, err := postgres.MigrationStatus(t.Context(), empty); err != nil || len(status) == 0 || status[0].AppliedAt != nil {
		t.Errorf("status of an empty database: %+v, %v", status, err)
	}
	newer := testpostgres.URL(t)
	exec(t, newer, `INSERT INTO singularity.schema_migrations (version_id, is_applied) VALUES (999, true)`)
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: newer}); !errors.Is(err, persistence.ErrSchemaNewer) {
		t.Errorf("open: %v, want %v", err, persistence.ErrSchemaNewer)
	}
	if _, err := postgres.MigrateUp(t.Context(), newer); !errors.Is(err, persistence.ErrSchemaNewer) {
		t.Errorf("migrate up: %v, want %v", err, persistence.ErrSchemaNewer)
	}
	if _, err := postgres.MigrateDown(t.Context(), newer); !errors.Is(err, persistence.ErrSchemaNewer) {
		t.Errorf("migrate down: %v, want %v", err, persistence.ErrSchemaNewer)
	}
}

func TestOpenSaysWhyTheDatabaseCannotBeReached(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Config{TCP: true})
	const secret = "open-sesame"
	withPassword := func(user, database string) string {
		return "postgres://" + user + ":" + secret + "@" + server.Addr() + "/" + database + "?sslmode=disable"
	}
	for name, c := range map[string]struct{ url, want string }{
		"wrong password": {withPassword("singularity", "postgres"), "user and password"},
		"no server":      {"postgres://nobody:" + secret + "@127.0.0.1:1/none", "cannot be reached"},
		"no database":    {server.URL("nowhere"), "no such database"},
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: c.url})
		if !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://user:" + secret + "@host:port/%zz"})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a URL that is none: %v, want an error without the password", err)
	}
}

func TestReplicaIsRefusedWithAdvice(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Config{})
	url := server.AdminURL("postgres")
	if _, err := postgres.MigrateUp(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	store := openAt(t, postgres.Config{URL: server.Standby(t).AdminURL("postgres")})
	_, err := store.Commit(t.Context(), []persistence.Write{draft()})
	if !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), "primary") {
		t.Errorf("commit on a replica: %v, want %v and advice", err, workflow.ErrUnavailable)
	}
}
