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

// create makes a database as a copy of another, which those must have left who
// were there; their sessions end a little later than their connections.
func (d databases) create(ctx context.Context, name, template string) error {
	const inUse = "55006"
	return d.insist(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template), inUse)
}

// drop removes a database and ends the sessions that it has. A worker of the
// server that is vacuuming there is not ours to end; it is done before long.
func (d databases) drop(ctx context.Context, name string) error {
	const notOurs = "42501"
	return d.insist(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)", notOurs)
}

// insist tries a statement again while it is refused for a reason that passes.
func (d databases) insist(ctx context.Context, statement, passes string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := d.exec(ctx, statement)
		refusal, _ := errors.AsType[*pgconn.PgError](err)
		if refusal == nil || refusal.Code != passes {
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
