//go:build unix

package testpostgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestURLIsAMigratedDatabaseOfTheTestsOwn(t *testing.T) {
	t.Parallel()
	first, second := connect(t, URL(t)), connect(t, URL(t))
	run(t, first, "INSERT INTO migrated VALUES ('first')")
	if rows := number(t, second, "SELECT count(*) FROM migrated"); rows != 0 {
		t.Errorf("the second database has %d rows that were put into the first", rows)
	}
}

func TestEmptyIsNotMigrated(t *testing.T) {
	t.Parallel()
	conn := connect(t, Empty(t))
	if tables := number(t, conn, "SELECT count(*) FROM pg_tables WHERE tablename = 'migrated'"); tables != 0 {
		t.Error("the database is migrated")
	}
}

func TestDatabaseGoesWithItsTestEvenWhileItIsInUse(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("test", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), Empty(t)) // and left open
		if err != nil {
			t.Fatal(err)
		}
		name = conn.Config().Database
	})
	conn := connect(t, Empty(t))
	if found := number(t, conn, "SELECT count(*) FROM pg_database WHERE datname = $1", name); found != 0 {
		t.Errorf("database %s is there after its test", name)
	}
}

func TestTestsAreNoSuperuser(t *testing.T) {
	t.Parallel()
	if found := number(t, connect(t, URL(t)), "SELECT count(*) FROM pg_roles WHERE rolname = current_user AND rolsuper"); found != 0 {
		t.Error("the role of the tests is a superuser, which hides missing privileges")
	}
}

func TestServerOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	own, other := Start(t, Config{}), Start(t, Config{})
	astray := *own
	astray.scratch = &scratch{dir: other.scratch.dir}
	if err := astray.reached(t.Context()); err != nil {
		t.Fatalf("the server in the directory: %v", err)
	}
	if err := os.Rename(other.scratch.path(".s.PGSQL.5432"), own.scratch.path(".s.PGSQL.5432")); err != nil {
		t.Fatal(err)
	}
	if err := own.reached(t.Context()); err == nil || !strings.Contains(err.Error(), other.scratch.dir) {
		t.Errorf("another server at the own socket: %v, want an error that names it", err)
	}
}

func TestServersEndWithTheProcessOfTheTests(t *testing.T) {
	t.Parallel()
	child := spawn(t)
	var dirs []string
	var pids []int
	for _, of := range []struct{ url, pidFile string }{{child.server, postgresPID}, {child.pooler, poolerPID}} {
		dir := connect(t, of.url).Config().Host
		dirs, pids = append(dirs, dir), append(pids, firstNumber(t, filepath.Join(dir, of.pidFile)))
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for i := range pids {
		await(t, fmt.Sprintf("the server in %s has ended", dirs[i]), func() bool { return !runs(pids[i]) })
		await(t, fmt.Sprintf("%s is gone", dirs[i]), func() bool { return !exists(dirs[i], "") })
	}
}

func TestDirectoryGoesWithItsServer(t *testing.T) {
	t.Parallel()
	var dir string
	t.Run("test", func(t *testing.T) { dir = Start(t, Config{}).scratch.dir })
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

func TestMissingProgramsAreNamedWithWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	nowhere := filepath.Join(t.TempDir(), "*")
	for name, find := range map[string]func(string) (string, error){
		"Postgres server": findPostgres, "pgbouncer": findPgBouncer,
	} {
		_, err := find(nowhere)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "make setup") {
			t.Errorf("error %v, want one that names %s and make setup", err, name)
		}
	}
}

func TestNewestInstalledPostgresIsFound(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	root := t.TempDir()
	for _, version := range []string{"9.6", "15", "16"} {
		folder := filepath.Join(root, version, "bin")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"postgres", "initdb", "pg_basebackup"} {
			if version == "16" && program == "initdb" {
				continue // only half installed
			}
			if err := os.WriteFile(filepath.Join(folder, program), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := findPostgres(filepath.Join(root, "*", "bin"))
	if want := filepath.Join(root, "15", "bin"); got != want || err != nil {
		t.Errorf("found %s, %v; want %s", got, err, want)
	}
}

func TestURLOfAnotherServerIsChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "host=localhost dbname=x", "mysql://localhost/x"} {
		if _, err := databasesAt(bad); err == nil {
			t.Errorf("%q is taken for the URL of a database", bad)
		}
	}
	on, err := databasesAt("postgres://me:secret@db:5433/mine?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := on.url("other"), "postgres://me:secret@db:5433/other?sslmode=require"; got != want {
		t.Errorf("URL %s, want %s", got, want)
	}
}

func TestAnotherServerIsUsedAndLeftAsItWas(t *testing.T) {
	server := Start(t, Config{})
	t.Setenv(urlVariable, server.URL(Database))
	conn := connect(t, server.URL(Database))
	const databases = "SELECT count(*) FROM pg_database"
	before := number(t, conn, databases)
	p := newProvision(func(ctx context.Context, url string) error {
		return onConnection(ctx, url, func(*pgx.Conn) error { return nil })
	})
	if _, err := p.template(); err != nil {
		t.Fatal(err)
	}
	if during := number(t, conn, databases); during != before+1 {
		t.Errorf("%d databases with a template, want %d", during, before+1)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if after := number(t, conn, databases); after != before {
		t.Errorf("%d databases are left, want %d", after, before)
	}
}

func TestTCPNeedsThePassword(t *testing.T) {
	t.Parallel()
	server := Start(t, Config{TCP: true})
	conn := connect(t, server.URLVia(server.Addr(), Database))
	if _, tcp := conn.PgConn().Conn().(*net.TCPConn); !tcp {
		t.Errorf("connected over %T, want TCP", conn.PgConn().Conn())
	}
	stranger := *server
	stranger.password = "guessed"
	if _, err := pgx.Connect(t.Context(), stranger.URLVia(server.Addr(), Database)); err == nil {
		t.Error("connected with a wrong password")
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func firstNumber(t *testing.T, file string) int {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return n
}

// runs reports whether a process does. One that has ended may be left as a
// zombie, where the first process of a container collects none.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}

// await looks until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func number(t *testing.T, conn *pgx.Conn, query string, args ...any) int {
	t.Helper()
	var n int
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
