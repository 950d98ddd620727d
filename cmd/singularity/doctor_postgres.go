package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"singularity"
	"singularity/migrations"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// connectPatience is how long the doctor waits for a database to answer.
const connectPatience = 5 * time.Second

// lookAtPostgres looks at a shared database, and returns the nodes that live
// there, and what their cluster is called unless they were told. Without a connection
// there is nothing more to see.
func lookAtPostgres(ctx context.Context, flags databaseFlags, migrate bool) (findings []finding, living []livingNode, cluster string) {
	conn, err := connectDatabase(ctx, flags.url)
	if err != nil {
		return []finding{{"database", false, flags.explain(err).Error()}}, nil, ""
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	findings = []finding{
		look("database", func() (string, error) { return checkServer(ctx, conn) }),
		look("schema", func() (string, error) { return checkSchema(ctx, conn, migrate) }),
		look("session", func() (string, error) { return checkSession(ctx, conn, flags) }),
		look("retention", func() (string, error) { return checkRetention(ctx, conn) }),
		look("checkpoints", func() (string, error) { return checkDays(ctx, flags.url) }),
		look("connections", func() (string, error) { return checkConnections(ctx, conn) }),
		look("clock", func() (string, error) { return checkDatabaseClock(ctx, conn) }),
	}
	if identity, err := postgres.IdentityOf(ctx, conn); err == nil { // or else the server is at fault, as findings say
		cluster = singularity.ClusterName(identity)
	}
	return findings, livingNodes(ctx, conn), cluster
}

// connectDatabase connects in a way that suits a pooler, too.
func connectDatabase(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", workflow.ErrUnavailable, err)
	}
	return conn, nil
}

const selectServer = `
SELECT current_setting('server_version'), current_database(), current_user,
	pg_is_in_recovery(), current_setting('transaction_read_only')::boolean`

// checkServer looks whether the database can be written.
func checkServer(ctx context.Context, conn *pgx.Conn) (string, error) {
	var version, database, user string
	var replica, readOnly bool
	err := conn.QueryRow(ctx, selectServer).Scan(&version, &database, &user, &replica, &readOnly)
	switch {
	case err != nil:
		return "", err
	case replica:
		return "", fmt.Errorf("%s is a read-only replica; let --database-url name the primary", conn.Config().Host)
	case readOnly:
		return "", fmt.Errorf("transactions of %s are read-only; ALTER ROLE or ALTER DATABASE … RESET default_transaction_read_only lets it write", user)
	}
	return fmt.Sprintf("Postgres %s, database %s, user %s", version, database, user), nil
}

const selectSchemaVersion = `
SELECT coalesce(max(version_id), 0)
FROM singularity.schema_migrations
WHERE is_applied`

// Codes of SQLSTATE for a schema that is not there.
const (
	undefinedTable  = "42P01"
	undefinedSchema = "3F000"
)

// isUndefined reports whether an error says that the schema is not there.
func isUndefined(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (refusal.Code == undefinedTable || refusal.Code == undefinedSchema)
}

// checkSchema looks whether this program and the schema know each other.
func checkSchema(ctx context.Context, conn *pgx.Conn, migrate bool) (string, error) {
	var applied int64
	err := conn.QueryRow(ctx, selectSchemaVersion).Scan(&applied)
	if err != nil && !isUndefined(err) {
		return "", err
	}
	known := migrations.Newest(migrations.Postgres())
	switch {
	case applied < known && migrate:
		return fmt.Sprintf("at migration %d; --migrate brings it to %d", applied, known), nil
	case applied == 0:
		return "", errors.New("there is none; run `singularity migrate up`, or start a node with --migrate")
	case applied > known:
		return "", fmt.Errorf("it is at migration %d, this program knows %d; use the newer program", applied, known)
	case applied < known:
		return "", fmt.Errorf("it is at migration %d of %d; run `singularity migrate up`, or start a node with --migrate", applied, known)
	default:
		return fmt.Sprintf("at migration %d, the newest", applied), nil
	}
}

// checkSession looks whether a node can have a session for itself: behind a
// pooler of transactions it could not.
func checkSession(ctx context.Context, conn *pgx.Conn, flags databaseFlags) (string, error) {
	pooled, err := isPooled(ctx, conn)
	if err != nil {
		return "", err
	}
	if flags.sessionURL == "" {
		if pooled {
			return "", errors.New("--database-url leads to a pooler; name the database itself with --session-database-url, too")
		}
		return "no pooler stands before the database", nil
	}
	session, err := connectDatabase(ctx, flags.sessionURL)
	if err != nil {
		return "", fmt.Errorf("--session-database-url: %w", err)
	}
	defer func() { _ = session.Close(context.WithoutCancel(ctx)) }()
	behind, err := isPooled(ctx, session)
	switch {
	case err != nil:
		return "", fmt.Errorf("--session-database-url: %w", err)
	case behind:
		return "", errors.New("--session-database-url leads to a pooler; let it name the database itself")
	case pooled:
		return "--database-url leads to a pooler, --session-database-url to the database", nil
	default:
		return "no pooler stands before the database, by either URL", nil
	}
}

// isPooled reports whether another process serves a connection than the one
// that it was told of at its start.
func isPooled(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid)
	return pid != conn.PgConn().PID(), err
}

// connectionsOfNode is how many connections one node makes at most, those to a hub in
// the same database included.
const connectionsOfNode = 8 + connectionsToHub

const selectConnections = `
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
	- coalesce(current_setting('reserved_connections', true)::int, 0),
	(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`

// checkConnections looks whether the server has room for one more node.
func checkConnections(ctx context.Context, conn *pgx.Conn) (string, error) {
	var most, used int
	if err := conn.QueryRow(ctx, selectConnections).Scan(&most, &used); err != nil {
		return "", err
	}
	state := fmt.Sprintf("%d of %d are in use, a node makes up to %d", used, most, connectionsOfNode)
	if used+connectionsOfNode > most {
		return "", fmt.Errorf("%s; raise max_connections, or put a pooler before the database", state)
	}
	return state, nil
}

// checkDatabaseClock compares the clocks: due times are written by one and read
// by the other.
func checkDatabaseClock(ctx context.Context, conn *pgx.Conn) (string, error) {
	asked := time.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return "", err
	}
	ours := asked.Add(time.Since(asked) / 2)
	return compareClocks(ours, theirs)
}

func compareClocks(ours, theirs time.Time) (string, error) {
	ahead := theirs.Sub(ours).Round(time.Millisecond)
	if ahead.Abs() > clockTolerance {
		return "", fmt.Errorf("that of the database says %s, this one %s, which is %s apart; set the clocks",
			theirs.UTC().Format(time.RFC3339), ours.UTC().Format(time.RFC3339), ahead.Abs())
	}
	return fmt.Sprintf("%s, and that of the database is %s from it", ours.UTC().Format(time.RFC3339), ahead.Abs()), nil
}
