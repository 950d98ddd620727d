package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testclock"
	"singularity/internal/testpostgres"
)

// onDatabase is a call of the program that finds a database in its environment.
func onDatabase(url string, args ...string) call {
	return call{args: args, env: map[string]string{"DATABASE_URL": url}}
}

// migrate runs a verb of migrate and returns what it lists.
func migrate(t *testing.T, url string, verb ...string) []migration {
	t.Helper()
	got := onDatabase(url, append([]string{"migrate", "-o", "json"}, verb...)...).run(t.Context())
	var list []migration
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || got.code != exitDone || list == nil {
		t.Fatalf("migrate %v: got %+v (%v)", verb, got, err)
	}
	return list
}

func applied(list []migration) (numbers []int) {
	for _, m := range list {
		if m.AppliedAt != nil {
			numbers = append(numbers, m.Number)
		}
	}
	return numbers
}

func TestMigrateUpAndDown(t *testing.T) {
	t.Parallel()
	database := testpostgres.Empty(t)
	all := migrate(t, database, "status")
	if len(all) < 5 || applied(all) != nil || all[0].Name != "runs" {
		t.Fatalf("status before: got %+v, want all migrations and none applied", all)
	}
	if up := migrate(t, database, "up"); len(applied(up)) != len(all) {
		t.Errorf("up: got %+v, want all %d applied", up, len(all))
	}
	again := onDatabase(database, "migrate", "up", "-o", "json").run(t.Context())
	if again != (result{exitDone, "[]\n", "the schema is up to date\n"}) {
		t.Errorf("up again: got %+v", again)
	}
	if down := migrate(t, database, "down"); len(down) != 1 || down[0].Number != len(all) || down[0].AppliedAt != nil {
		t.Errorf("down: got %+v, want the last one, not applied", down)
	}
	if status := migrate(t, database, "status"); len(applied(status)) != len(all)-1 {
		t.Errorf("status after: got %+v, want all but one applied", status)
	}
	for range len(all) - 1 {
		migrate(t, database, "down")
	}
	nothing := onDatabase(database, "migrate", "down", "-o", "json").run(t.Context())
	if nothing != (result{exitDone, "[]\n", "there is no migration to take back\n"}) {
		t.Errorf("down of nothing: got %+v", nothing)
	}
}

func TestMigrateByTenProcessesAtOnce(t *testing.T) {
	t.Parallel()
	database := testpostgres.Empty(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var processes [10]*exec.Cmd
	var outputs [len(processes)]strings.Builder
	for i := range processes {
		p := exec.CommandContext(t.Context(), program, "migrate", "up", "-o", "json")
		p.Env = append(os.Environ(), beMain+"=1", "DATABASE_URL="+database)
		p.Stdout, p.Stderr = &outputs[i], t.Output()
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		processes[i] = p
	}
	var done []int
	for i, p := range processes {
		var list []migration
		if err := p.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
		if err := json.Unmarshal([]byte(outputs[i].String()), &list); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
		done = append(done, applied(list)...)
	}
	slices.Sort(done)
	if want := applied(migrate(t, database, "status")); !slices.Equal(done, want) {
		t.Errorf("together they applied %v, want each of %v once", done, want)
	}
}

const describeSchema = `
SELECT string_agg(what, E'\n' ORDER BY what)
FROM (
	SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) AS what
	FROM information_schema.columns WHERE table_schema = 'singularity'
	UNION ALL
	SELECT indexdef FROM pg_indexes WHERE schemaname = 'singularity'
	UNION ALL
	SELECT format('migration %s %s', version_id, is_applied) FROM singularity.schema_migrations
) AS parts`

func onConnection(t *testing.T, url string, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := do(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, url, statements string) {
	t.Helper()
	onConnection(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, statements).ReadAll()
		return err
	})
}

func schemaOf(t *testing.T, url string) (schema string) {
	t.Helper()
	onConnection(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, describeSchema).Scan(&schema)
	})
	return schema
}

func TestMigrateSQLDoesWhatUpDoes(t *testing.T) {
	t.Parallel()
	byHand := testpostgres.Empty(t)
	up := call{args: []string{"migrate", "sql"}}.run(t.Context())
	if up.code != exitDone || strings.Contains(up.stdout, "goose") {
		t.Fatalf("got %+v", up)
	}

	execute(t, byHand, up.stdout)

	if got, want := schemaOf(t, byHand), schemaOf(t, testpostgres.URL(t)); got != want {
		t.Errorf("the SQL makes\n%s\nand migrate up makes\n%s", got, want)
	}
	if more := migrate(t, byHand, "up"); len(more) != 0 {
		t.Errorf("migrate up finds %+v left to do", more)
	}

	down := call{args: []string{"migrate", "sql", "--down"}}.run(t.Context())
	execute(t, byHand, down.stdout)

	if status := migrate(t, byHand, "status"); applied(status) != nil {
		t.Errorf("after the SQL of --down %v are applied", applied(status))
	}
	execute(t, byHand, up.stdout) // there is nothing in its way
}

func TestMigrateSQLAsJSON(t *testing.T) {
	t.Parallel()
	text := call{args: []string{"migrate", "sql"}}.run(t.Context()).stdout
	var document struct{ SQL string }
	got := call{args: []string{"migrate", "sql", "-o", "json"}}.run(t.Context())
	if err := json.Unmarshal([]byte(got.stdout), &document); err != nil || document.SQL != text {
		t.Errorf("got %.200q (%v), want the text in a document", got.stdout, err)
	}
}

func TestMigrateForPeople(t *testing.T) {
	t.Parallel()
	database := testpostgres.Empty(t)
	got := onDatabase(database, "migrate", "status").run(t.Context())
	if !strings.HasPrefix(got.stdout, "NUMBER  NAME        APPLIED\n1       runs\n2       membership\n") {
		t.Errorf("got %+v", got)
	}
}

// raisePostgres makes a database look as if a newer program had been there.
func raisePostgres(t *testing.T, url string) {
	t.Helper()
	execute(t, url, "INSERT INTO singularity.schema_migrations (version_id, is_applied) VALUES (9999, true)")
}

// withPassword is the same URL with another password.
func withPassword(t *testing.T, databaseURL, password string) string {
	t.Helper()
	changed, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	changed.User = url.UserPassword(changed.User.Username(), password)
	return changed.String()
}

// databaseFault is a database that a program cannot use, and what it says.
type databaseFault struct {
	name, url string
	code      int
	wants     []string
}

const nobodyListens = "postgres://ada:canary@127.0.0.1:1/runs"

// faultyDatabases are those that no command can use. The password is canary.
func faultyDatabases(t *testing.T) []databaseFault {
	t.Helper()
	server := testpostgres.Start(t, testpostgres.Config{TCP: true})
	good := withPassword(t, server.URLVia(server.Addr(), testpostgres.Database), "canary")
	newer := testpostgres.URL(t)
	raisePostgres(t, newer)
	return []databaseFault{
		{"none", "", exitUsage, []string{"DATABASE_URL", "--database-url"}},
		{"malformed", "postgres://ada:canary@host:port/runs", exitUsage, []string{"--database-url", "postgres://user@host/name"}},
		{"nobody listens", nobodyListens, exitUnknown, []string{"--database-url", "cannot be reached"}},
		{"no such host", "postgres://ada:canary@no-such-host.invalid/runs", exitUnknown, []string{"--database-url", "no-such-host.invalid"}},
		{"no such database", sibling(t, newer), exitUnknown, []string{"--database-url", "create it"}},
		{"wrong password", good, exitRefused, []string{"--database-url", "user and password"}},
		{"newer schema", newer, exitRefused, []string{"newer", "9999"}},
	}
}

// sibling is a database that is not there, on a server that is.
func sibling(t *testing.T, databaseURL string) string {
	t.Helper()
	changed, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	changed.Path = "/no_such_database"
	return changed.String()
}

// check compares what a command said about a database with what it should.
func (f databaseFault) check(t *testing.T, got result) {
	t.Helper()
	if got.code != f.code || got.stdout != "" {
		t.Errorf("%s: got %+v, want exit code %d and nothing on stdout", f.name, got, f.code)
	}
	for _, want := range f.wants {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %q is not in %q", f.name, want, got.stderr)
		}
	}
	if strings.Contains(fmt.Sprint(got), "canary") {
		t.Errorf("%s: the password is shown: %+v", f.name, got)
	}
}

func TestMigrateSaysWhatIsWrongWithADatabase(t *testing.T) {
	t.Parallel()
	for _, fault := range faultyDatabases(t) {
		fault.check(t, onDatabase(fault.url, "migrate", "up").run(t.Context()))
	}
}

// partition gives days partitions and returns those that are there.
func partition(t *testing.T, url string) []checkpointDay {
	t.Helper()
	got := onDatabase(url, "migrate", "partition", "-o", "json").run(t.Context())
	var list []checkpointDay
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || got.code != exitDone {
		t.Fatalf("migrate partition: got %+v (%v)", got, err)
	}
	return list
}

func TestMigratePartition(t *testing.T) {
	t.Parallel()
	testclock.AwayFromMidnight(t, time.Now())
	database := testpostgres.URL(t)
	status := func(want string) {
		t.Helper()
		if got := onDatabase(database, "migrate", "status", "-o", "json").run(t.Context()); got.stderr != want+"\n" {
			t.Errorf("status: got %q on stderr, want %q", got.stderr, want)
		}
	}
	status("the checkpoints are one table")
	days := partition(t, database)
	if len(days) != 2 || days[0].From != nil || days[1].From == nil || !days[1].From.Equal(days[0].Until) || !days[1].Until.Equal(days[1].From.AddDate(0, 0, 1)) {
		t.Errorf("got %+v, want all up to a day, and that day", days)
	}
	status("the checkpoints are partitioned by day; the days to come have their partitions")
	again := onDatabase(database, "migrate", "partition").run(t.Context())
	if again.code != exitDone || again.stderr != "the checkpoints are partitioned already; the days to come have their partitions\n" || !strings.HasPrefix(again.stdout, "TABLE ") {
		t.Errorf("again: got %+v", again)
	}
	code, findings, _ := consultOn(t, database)
	if found := findings["checkpoints"]; code != exitDone || !strings.Contains(found.Detail, "partitioned by day") {
		t.Errorf("doctor: got exit code %d, %+v", code, found)
	}
}

func TestMigratePartitionSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url  string
		args []string
		code int
		want string
	}{
		{"", nil, exitUsage, "the embedded database is not partitioned"},
		{nobodyListens, nil, exitUnknown, "--database-url"},
		{nobodyListens, []string{"--pause", "-1s"}, exitUsage, "--pause"},
		{testpostgres.Empty(t), nil, exitRefused, "migrate up"},
	} {
		got := onDatabase(test.url, append([]string{"migrate", "partition"}, test.args...)...).run(t.Context())
		if got.code != test.code || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s %v: got %+v, want exit code %d and %q", test.url, test.args, got, test.code, test.want)
		}
	}
}
