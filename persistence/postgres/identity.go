package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Both numbers stay through restarts, failovers and renamings; a database that was
// restored from a dump has others.
const selectIdentity = `
SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()`

// A service may keep the first number to itself. The time at which the schema was
// begun takes its place.
const selectPublicIdentity = `
SELECT (SELECT extract(epoch FROM min(tstamp)) FROM singularity.schema_migrations)::text || '/' || oid
FROM pg_database
WHERE datname = current_database()`

// Identity names the database as no other is named.
func (s *Store) Identity(ctx context.Context) (string, error) {
	return identify(func(query string) (identity string, err error) {
		err = s.query(ctx, func(row scanner) error { return row.Scan(&identity) }, query)
		return identity, err
	})
}

// IdentityOf is [Store.Identity] of the database of a connection.
func IdentityOf(ctx context.Context, conn *pgx.Conn) (string, error) {
	return identify(func(query string) (identity string, err error) {
		err = conn.QueryRow(ctx, query).Scan(&identity)
		return identity, err
	})
}

func identify(read func(query string) (string, error)) (string, error) {
	identity, err := read(selectIdentity)
	if _, refused := errors.AsType[*pgconn.PgError](err); refused {
		identity, err = read(selectPublicIdentity)
	}
	if err != nil {
		return "", fmt.Errorf("identify the database: %w", err)
	}
	return identity, nil
}
