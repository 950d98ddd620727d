package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// connect makes a connection that holds the boot's lock.
func (s *session) connect(ctx context.Context) error {
	config, err := connectConfig(s.url)
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = nameOf(s.boot)
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return translate(err)
	}
	if err := s.occupy(ctx, conn); err != nil {
		disconnect(conn)
		return translate(err)
	}
	s.conn, s.renewedFirst = conn, time.Time{}
	s.hubAnnounced()
	return nil
}

// sessionSettings are those of a session. A renewal that a crash of the server
// loses only makes a lease look older, so none waits for the disk. It asks
// whether any run runs elsewhere, for which the planner would read a table from
// its beginning, where the runs are that ended long ago.
var sessionSettings = map[string]string{
	"synchronous_commit":                  "off",
	"enable_seqscan":                      "off",
	"jit":                                 "off",
	"lock_timeout":                        millis(time.Second),
	"idle_in_transaction_session_timeout": millis(2 * time.Second),
	"tcp_keepalives_idle":                 "1",
	"tcp_keepalives_interval":             "1",
	"tcp_keepalives_count":                "2",
	"tcp_user_timeout":                    millis(silentSession),
}

// silentSession is for how long the server keeps the session, and with it the
// lock, of a node that is cut off. It is longer than the 2.5s for which such a node
// still begins steps after its last renewal: it has stopped before its lock is
// free. The server looks once a second.
const silentSession = 2600 * time.Millisecond

const setForSession = `
SELECT set_config(setting.name, setting.value, false)
FROM unnest($1::text[], $2::text[]) AS setting (name, value)`

// lockKey is the key of a boot's advisory lock.
const lockKey = `hashtextextended($1, 0)`

// endFormerSession ends the session that a boot had before, whose end the
// server may not have noticed.
const endFormerSession = `
SELECT pg_terminate_backend(activity.pid)
FROM pg_locks AS lock
JOIN pg_stat_activity AS activity USING (pid)
WHERE lock.locktype = 'advisory' AND lock.objsubid = 1 AND lock.granted
	AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND (lock.classid::bigint << 32) | lock.objid::bigint = ` + lockKey + `
	AND activity.application_name = $2 AND activity.pid <> pg_backend_pid()`

const takeLock = `SELECT pg_advisory_lock(` + lockKey + `)`

// The channels of notifications: wakeChannel is where a caller's transaction
// names the queues of its runs, queuesChannel where queues are named whose
// settings have changed, schedulesChannel where schedules are, cancelledChannel where
// runs are that ran when they were cancelled, hubChannel where hubs of the database
// announce themselves.
const (
	wakeChannel      = "singularity_wake"
	queuesChannel    = "singularity_queues"
	schedulesChannel = "singularity_schedules"
	cancelledChannel = "singularity_cancelled"
	hubChannel       = "singularity_centralcloud"
)

// occupy checks a new connection and makes it the boot's.
func (s *session) occupy(ctx context.Context, conn *pgx.Conn) error {
	if err := checkSession(ctx, conn); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(sessionSettings))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = sessionSettings[name]
	}
	if _, err := conn.Exec(ctx, setForSession, names, values); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, endFormerSession, string(s.boot), nameOf(s.boot)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, takeLock, string(s.boot)); err != nil {
		return err
	}
	for _, channel := range []string{wakeChannel, queuesChannel, schedulesChannel, cancelledChannel, hubChannel} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
	}
	return nil
}

const inspectSession = `
SELECT pg_backend_pid(), pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean`

// Errors of a database that cannot keep a node's session.
var (
	ErrPooler = errors.New("the URL of the node's session leads to a transaction pooler, which keeps no session: " +
		"let --session-database-url name the database server itself")
	ErrReadOnly = errors.New("the URL of the node's session leads to a server that takes no writes, such as a replica: " +
		"let --session-database-url, or --database-url without it, name the primary")
)

// checkSession refuses connections that cannot hold a lock or write.
func checkSession(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	var readOnly bool
	if err := conn.QueryRow(ctx, inspectSession).Scan(&pid, &readOnly); err != nil {
		return err
	}
	switch {
	case pid != conn.PgConn().PID():
		return ErrPooler
	case readOnly:
		return ErrReadOnly
	default:
		return nil
	}
}

// disconnect closes a connection, whose lock is free then.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), deadLink)
	defer cancel()
	_ = conn.Close(ctx)
}
