package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/server/common/config"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql" // the plugin that is named below
	schema "go.temporal.io/server/schema/postgresql/v12"
	"go.temporal.io/server/tools/sql"
)

const plugin = "postgres12"

// visibilitySchema keeps the tables that list workflows in the same database as
// the workflows, so that their cost is measured, too.
const visibilitySchema = "visibility"

// makeStores makes the tables with Temporal's own tool, and returns how the
// server finds them.
func makeStores(ctx context.Context, databaseURL string) (runs, visibility *config.SQL, err error) {
	database, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, nil, err
	}
	connection, err := pgx.ConnectConfig(ctx, database)
	if err != nil {
		return nil, nil, err
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, "CREATE SCHEMA "+visibilitySchema); err != nil {
		return nil, nil, err
	}
	if err := setUp(database, "temporal", schema.Version, "public"); err != nil {
		return nil, nil, err
	}
	if err := setUp(database, "visibility", schema.VisibilityVersion, visibilitySchema); err != nil {
		return nil, nil, err
	}
	return store(database, "public", 20), store(database, visibilitySchema, 2), nil
}

func setUp(database *pgx.ConnConfig, name, version, searchPath string) error {
	err := sql.RunTool([]string{
		"temporal-sql-tool", "--plugin", plugin,
		"--endpoint", database.Host, "--port", strconv.Itoa(int(database.Port)),
		"--user", database.User, "--password", database.Password, "--database", database.Database,
		"--connect-attributes", "search_path=" + searchPath,
		"setup-schema", "--schema-name", "postgresql/v12/" + name, "--version", version,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// store has as many connections as Temporal's configuration for development.
func store(database *pgx.ConnConfig, searchPath string, connections int) *config.SQL {
	return &config.SQL{
		PluginName:        plugin,
		DatabaseName:      database.Database,
		ConnectAddr:       net.JoinHostPort(database.Host, strconv.Itoa(int(database.Port))),
		ConnectProtocol:   "tcp",
		ConnectAttributes: map[string]string{"search_path": searchPath},
		User:              database.User,
		Password:          database.Password,
		MaxConns:          connections,
		MaxIdleConns:      connections,
		MaxConnLifetime:   time.Hour,
	}
}
