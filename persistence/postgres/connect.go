package postgres

import (
	"context"
	"maps"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/persistence"
)

// applicationName is what pg_stat_activity shows; a boot that joined is behind
// it, after a slash.
const applicationName = "singularity"

// settings are those of the connections whose statements are the store's own.
//
// Plans are made once for each connection, when tables may still be empty, so
// they must be right without knowing what is in them: by index, row for row.
// Plans without an index look so expensive then that they would be compiled.
var settings = map[string]string{
	"plan_cache_mode":   "force_generic_plan",
	"enable_hashjoin":   "off",
	"enable_mergejoin":  "off",
	"enable_seqscan":    "off",
	"enable_bitmapscan": "off",
	"jit":               "off",

	"lock_timeout":                        millis(time.Second),
	"statement_timeout":                   millis(statementTimeout),
	"idle_in_transaction_session_timeout": millis(2 * time.Second),
}

// linkSettings let the server notice that a node is gone.
var linkSettings = map[string]string{
	"tcp_keepalives_idle":     "1",
	"tcp_keepalives_interval": "1",
	"tcp_keepalives_count":    "2",
	"tcp_user_timeout":        millis(deadLink),
}

const (
	statementTimeout = 30 * time.Second
	// deadLink is how long sent data may go without an acknowledgement before
	// either end gives the connection up.
	deadLink = 2 * time.Second
)

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// connectConfig is how a connection is made, before any settings.
func connectConfig(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	config.RuntimeParams["application_name"] = applicationName
	dialer := &net.Dialer{
		Timeout:         config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2},
		Control:         limitSilence,
	}
	config.DialFunc = dialer.DialContext
	return config, nil
}

// connectPlainly makes a connection without settings, that suits a pooler too.
func connectPlainly(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := connectConfig(url)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, translate(err)
}

// probe looks at the database: whether it has the schema that this program
// needs, and whether a pooler stands before it, which lends a server's process
// for a transaction and therefore cannot tell its id beforehand.
func probe(ctx context.Context, url string) (pooled bool, err error) {
	conn, err := connectPlainly(ctx, url)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return false, translate(err)
	}
	return pid != conn.PgConn().PID(), checkSchema(ctx, conn)
}

// newWriters makes the pool of the connections that change runs.
func (s *Store) newWriters(ctx context.Context) (*pgxpool.Pool, error) {
	return s.newPool(ctx, s.cfg.Writers, func(config *pgxpool.Config) {
		if !s.pooled {
			config.AfterConnect = prepare
			maps.Copy(config.ConnConfig.RuntimeParams, settings)
		}
	})
}

// newReaders makes the pool for everything else.
func (s *Store) newReaders(ctx context.Context) (*pgxpool.Pool, error) {
	return s.newPool(ctx, s.cfg.Readers, func(config *pgxpool.Config) {
		if !s.pooled {
			maps.Copy(config.ConnConfig.RuntimeParams, settings)
		}
	})
}

// newSteps makes the pool of transactional steps, whose statements are their
// authors'.
func (s *Store) newSteps(ctx context.Context) (*pgxpool.Pool, error) {
	return s.newPool(ctx, s.cfg.Steps, func(*pgxpool.Config) {})
}

// newPool makes a pool that connects when it is needed.
func (s *Store) newPool(ctx context.Context, connections int, adjust func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.cfg.URL)
	if err != nil {
		return nil, err
	}
	if config.ConnConfig, err = connectConfig(s.cfg.URL); err != nil {
		return nil, err
	}
	if s.pooled {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		maps.Copy(config.ConnConfig.RuntimeParams, linkSettings)
	}
	config.BeforeConnect = func(_ context.Context, config *pgx.ConnConfig) error {
		if name := s.name.Load(); name != nil {
			config.RuntimeParams["application_name"] = *name
		}
		return nil
	}
	config.MaxConns, config.MinConns, config.MinIdleConns = int32(connections), 0, 0
	adjust(config)
	return pgxpool.NewWithConfig(ctx, config)
}

// named makes the connections carry the name of a boot, so that others can end
// them with it. Those that do not are replaced as they become idle.
func (s *Store) named(boot persistence.BootID) {
	name := nameOf(boot)
	if before := s.name.Swap(&name); before == nil || *before != name {
		s.writers.Reset()
		s.readers.Reset()
		s.steps.Reset()
	}
}

// nameOf is the application_name of a boot's connections.
func nameOf(boot persistence.BootID) string { return applicationName + "/" + string(boot) }
