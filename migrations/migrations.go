// Package migrations holds the schema of every database as numbered SQL files,
// embedded into the program. A number and name mean the same step for every
// dialect.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var files embed.FS

// SQLite returns the migrations of an embedded database.
func SQLite() fs.FS { return dialect("sqlite") }

func dialect(name string) fs.FS {
	migrations, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // the name is not a path
	}
	return migrations
}
