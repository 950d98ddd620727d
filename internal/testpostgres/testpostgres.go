//go:build unix

package testpostgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// urlVariable names a server to use instead of one of our own.
const urlVariable = "SINGULARITY_TEST_DATABASE_URL"

// shared is what the tests of this process have in common, from [Main].
var shared *provision

// Main runs the tests of a package and is all that its TestMain does. The
// function is the one that migrates databases; what it returns beside its
// error does not matter here.
func Main[Result any](m *testing.M, migrate func(ctx context.Context, url string) (Result, error)) {
	shared = newProvision(func(ctx context.Context, url string) error {
		_, err := migrate(ctx, url)
		return err
	})
	m.Run() // whose result the testing package keeps
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "end the Postgres server of the tests:", err)
	}
}

// URL is a fresh database for a test, migrated.
func URL(t testing.TB) string {
	t.Helper()
	return fresh(t, func(p *provision) (string, error) { return p.template() })
}

// Empty is a fresh database for a test, without a schema.
func Empty(t testing.TB) string {
	t.Helper()
	return fresh(t, func(*provision) (string, error) { return "template1", nil })
}

func fresh(t testing.TB, template func(*provision) (string, error)) string {
	t.Helper()
	if shared == nil {
		t.Fatal("the package of this test has no TestMain that calls testpostgres.Main")
	}
	on, err := shared.databases()
	if err != nil {
		t.Fatalf("have a Postgres server for the tests: %v", err)
	}
	original, err := template(shared)
	if err != nil {
		t.Fatalf("make a migrated database: %v", err)
	}
	return on.copy(t, original)
}

// Copy is a fresh database for a test, on the same server as the one at a URL and
// with all that is in it. Nobody may use that one meanwhile.
func Copy(t testing.TB, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	on, err := databasesAt(url)
	if err != nil {
		t.Fatal(err)
	}
	on.home.Path = "/template1"
	return on.copy(t, config.Database)
}

// copy makes a database that lasts as long as a test.
func (d databases) copy(t testing.TB, original string) string {
	t.Helper()
	name := newName()
	t.Cleanup(func() {
		if err := d.drop(context.Background(), name); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	if err := d.create(t.Context(), name, original); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	return d.url(name)
}

// provision is a server for the tests of one process and a migrated database
// on it, each made when it is first asked for.
type provision struct {
	migrate   func(ctx context.Context, url string) error
	databases func() (databases, error)
	template  func() (name string, err error)
	ending    []func() error
}

func newProvision(migrate func(ctx context.Context, url string) error) *provision {
	p := &provision{migrate: migrate}
	p.databases = sync.OnceValues(p.findServer)
	p.template = sync.OnceValues(p.makeTemplate)
	return p
}

func (p *provision) findServer() (databases, error) {
	if home := os.Getenv(urlVariable); home != "" {
		on, err := databasesAt(home)
		if err != nil {
			return databases{}, fmt.Errorf("%s: %w", urlVariable, err)
		}
		return on, nil
	}
	server, err := newServer(context.Background(), Config{})
	if err != nil {
		return databases{}, err
	}
	p.ending = append(p.ending, server.close)
	return databasesAt(server.URL(Database))
}

func (p *provision) makeTemplate() (string, error) {
	ctx := context.Background()
	on, err := p.databases()
	if err != nil {
		return "", err
	}
	name := newName()
	if err := on.create(ctx, name, "template1"); err != nil {
		return "", err
	}
	p.ending = append(p.ending, func() error { return on.drop(ctx, name) })
	return name, p.migrate(ctx, on.url(name))
}

// close undoes what was made, the latest first.
func (p *provision) close() error {
	var problems []error
	for len(p.ending) > 0 {
		last := len(p.ending) - 1
		problems = append(problems, p.ending[last]())
		p.ending = p.ending[:last]
	}
	return errors.Join(problems...)
}
