//go:build unix

package testpostgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// databases makes databases on a server.
type databases struct {
	home url.URL // of one that stays
}

func databasesAt(home string) (databases, error) {
	parsed, err := url.Parse(home)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		return databases{}, fmt.Errorf("%q is not the URL of a database; expected postgres://user@host/database", home)
	}
	return databases{*parsed}, nil
}

// url is a database of the server.
func (d databases) url(name string) string {
	d.home.Path = "/" + name
	return d.home.String()
}

// newName is one that no other test has, on any machine.
func newName() string { return "singularity_test_" + strings.ToLower(rand.Text()) }

// create makes a database as a copy of another.
func (d databases) create(ctx context.Context, name, template string) error {
	return d.exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template))
}

// drop removes a database and ends the sessions that it has. A worker of the
// server that is vacuuming there is not ours to end; it is done before long.
func (d databases) drop(ctx context.Context, name string) error {
	const notOurs = "42501"
	for try := 1; ; try++ {
		err := d.exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)")
		refusal, _ := errors.AsType[*pgconn.PgError](err)
		if refusal == nil || refusal.Code != notOurs || try == 50 {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (d databases) exec(ctx context.Context, statement string) error {
	return onConnection(ctx, d.home.String(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
