// Package migrations holds the schema of every database as numbered SQL files,
// embedded into the program. A number and name mean the same step for every
// dialect.
package migrations

import (
	"embed"
	"io/fs"
	"sync"
)

//go:embed postgres/*.sql sqlite/*.sql centralcloud/*/*.sql
var files embed.FS

// Each set is in order, not empty, and only to be read.
var (
	// Postgres is for a database that several nodes share.
	Postgres = embedded("postgres")
	// SQLite is for an embedded database.
	SQLite = embedded("sqlite")
	// CentralCloudPostgres is for the hub in Postgres. Its first step is for
	// databases that do not have pgmq.
	CentralCloudPostgres = embedded("centralcloud/postgres")
	// CentralCloudSQLite is for the hub in an embedded database.
	CentralCloudSQLite = embedded("centralcloud/sqlite")
)

func embedded(folder string) func() []Step {
	return sync.OnceValue(func() []Step {
		set, err := fs.Sub(files, folder)
		if err != nil {
			panic(err)
		}
		steps, err := Read(set)
		if err != nil {
			panic(err)
		}
		return steps
	})
}

// Newest is the number of the last step of a set.
func Newest(steps []Step) int64 { return steps[len(steps)-1].Number }
