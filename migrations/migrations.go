// Package migrations holds the schema of every database as numbered SQL files,
// embedded into the program. A number and name mean the same step for every
// dialect.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed postgres/*.sql sqlite/*.sql centralcloud/*/*.sql
var files embed.FS

// Postgres returns the migrations of a database that several nodes share.
func Postgres() fs.FS { return dialect("postgres") }

// SQLite returns the migrations of an embedded database.
func SQLite() fs.FS { return dialect("sqlite") }

// CentralCloudPostgres returns the migrations of the hub in Postgres. The first
// is for databases that do not have pgmq.
func CentralCloudPostgres() fs.FS { return dialect("centralcloud/postgres") }

// CentralCloudSQLite returns the migrations of the hub in an embedded database.
func CentralCloudSQLite() fs.FS { return dialect("centralcloud/sqlite") }

func dialect(name string) fs.FS {
	migrations, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // the name is not a path
	}
	return migrations
}
