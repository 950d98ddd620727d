package singularity_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// canary is the password in every URL, which nobody may get to read.
const canary = "canary"

// faultyServer is a server that is not as an engine needs it.
type faultyServer struct{ *testpostgres.Server }

func newFaultyServer(t *testing.T) faultyServer {
	t.Helper()
	s := faultyServer{testpostgres.Start(t, testpostgres.Config{TCP: true})}
	if _, err := postgres.MigrateUp(t.Context(), s.URL(testpostgres.Database)); err != nil {
		t.Fatal(err)
	}
	return s
}

// migrated is the database with the schema, over a socket that asks for no
// password.
func (s faultyServer) migrated(t *testing.T) string {
	return withCanary(t, s.URL(testpostgres.Database))
}

func withCanary(t *testing.T, database string) string {
	t.Helper()
	parsed, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	parsed.User = url.UserPassword(parsed.User.Username(), canary)
	return parsed.String()
}

// exec does something to the server as its superuser.
func (s faultyServer) exec(t *testing.T, database string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.AdminURL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// memo is a log that can be read while it is written.
type memo struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (m *memo) Write(line []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(line)
}

func (m *memo) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// says checks that a text says what is wrong and what to do, and no secret.
func says(t *testing.T, where string, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one that says %q", where, want)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v\nwant it to say %q", where, err, text)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("%s: the password is in %v", where, err)
	}
}

func TestOpenSaysWhatIsWrongWithItsDatabaseAndWhatToDo(t *testing.T) {
	t.Parallel()
	server := newFaultyServer(t)
	server.exec(t, "postgres", `CREATE DATABASE bare OWNER singularity`, `CREATE DATABASE newer OWNER singularity`,
		`CREATE DATABASE closed OWNER postgres`, `REVOKE CONNECT ON DATABASE closed FROM public`)
	if _, err := postgres.MigrateUp(t.Context(), server.URL("newer")); err != nil {
		t.Fatal(err)
	}
	server.exec(t, "newer", `INSERT INTO singularity.schema_migrations (version_id, is_applied) VALUES (999, true)`)
	standby := server.Standby(t)
	for name, c := range map[string]struct {
		database, session string
		want              []string
	}{
		"wrong password":  {"postgres://singularity:canary@" + server.Addr() + "/singularity?sslmode=disable", "", []string{"user", "password", "check"}},
		"wrong user":      {"postgres://nobody:canary@" + server.Addr() + "/singularity?sslmode=disable", "", []string{"user", "password", "check"}},
		"no database":     {withCanary(t, server.URL("nowhere")), "", []string{"no such database", "nowhere", "create it"}},
		"no privilege":    {withCanary(t, server.URL("closed")), "", []string{"lacks a privilege", "closed", "grant"}},
		"no server":       {"postgres://nobody:canary@127.0.0.1:1/none", "", []string{"cannot be reached", "check the database URL", "127.0.0.1:1"}},
		"no schema":       {withCanary(t, server.URL("bare")), "", []string{"lacks the schema", "singularity migrate up"}},
		"newer schema":    {withCanary(t, server.URL("newer")), "", []string{"newer schema", "999", "use the newer program"}},
		"replica":         {withCanary(t, standby.URL(testpostgres.Database)), "", []string{"takes no writes", "primary", "--database-url"}},
		"pooler":          {testpostgres.Pooler(t, server.URL(testpostgres.Database)), "", []string{"pooler", "--session-database-url"}},
		"replica session": {server.migrated(t), withCanary(t, standby.URL(testpostgres.Database)), []string{"takes no writes", "primary", "--session-database-url"}},
		"malformed":       {"postgres://me:canary@host:port/%zz", "", []string{"parse"}},
		"malformed words": {"host=127.0.0.1 password=canary port=what", "", []string{"port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &memo{}
			engine, err := singularity.Open(t.Context(), singularity.Config{
				DatabaseURL: c.database, SessionDatabaseURL: c.session, Logger: slog.New(slog.NewTextHandler(log, nil)),
			})
			if err == nil {
				closeEngine(t, engine)
			}
			says(t, "open", err, c.want)
			if strings.Contains(log.String(), canary) {
				t.Errorf("the password is in the log:\n%s", log)
			}
		})
	}
}

func TestEngineSaysWhatBecameOfItsDatabaseAndWhatToDo(t *testing.T) {
	t.Parallel()
	const endConnections = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'singularity'`
	for name, c := range map[string]struct {
		statements []string
		want       []string
	}{
		"dropped":     {[]string{`DROP DATABASE singularity WITH (FORCE)`}, []string{"no such database", "create it"}},
		"closed":      {[]string{`ALTER ROLE singularity NOLOGIN`, endConnections}, []string{"refuses the user", "check the user"}},
		"frozen":      {[]string{`ALTER DATABASE singularity SET default_transaction_read_only = on`, endConnections}, []string{"read-only", "primary"}},
		"not allowed": {[]string{`ALTER DATABASE singularity CONNECTION LIMIT 0`, endConnections}, []string{"short of resources", "max_connections"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, log := newFaultyServer(t), &memo{}
			flow := workflow.New("flow", note("one"))
			engine, err := singularity.Open(t.Context(), singularity.Config{
				DatabaseURL: server.migrated(t), Logger: slog.New(slog.NewTextHandler(log, nil)),
			}, flow)
			if err != nil {
				t.Fatal(err)
			}
			server.exec(t, "postgres", c.statements...)
			says(t, "start", startUntil(t, flow, engine, c.want[0]), c.want)
			says(t, "readiness", readyUntil(t, engine, c.want[1]), c.want[1:])
			closing, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = engine.Close(closing) // what it has to say cannot be stored
			if strings.Contains(log.String(), canary) {
				t.Errorf("the password is in the log:\n%s", log)
			}
		})
	}
}

// startUntil starts runs until one is refused with a text: the first ones may
// have been on their way when the database went.
func startUntil(t *testing.T, flow *workflow.Workflow[tally, tally], engine *singularity.Engine, text string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, err := flow.Start(ctx, engine, tally{})
		if err != nil && (strings.Contains(err.Error(), text) || ctx.Err() != nil) {
			return err
		}
		if err != nil && !errors.Is(err, workflow.ErrUnavailable) && !errors.Is(err, workflow.ErrOutcomeUnknown) {
			t.Errorf("a start was answered with %v", err)
		}
	}
}

// readyUntil asks until the engine is not ready, with a text.
func readyUntil(t *testing.T, engine *singularity.Engine, text string) (reason error) {
	t.Helper()
	again, late := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		if reason = engine.Ready(t.Context()); reason != nil && strings.Contains(reason.Error(), text) {
			return reason
		}
		select {
		case <-again.C:
		case <-late:
			return reason
		}
	}
}
