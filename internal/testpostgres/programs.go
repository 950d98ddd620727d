//go:build unix

package testpostgres

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// Where Debian and its like install programs that are not on everybody's PATH.
const (
	postgresFolders = "/usr/lib/postgresql/*/bin"
	systemPrograms  = "/usr/sbin"
)

// findPostgres returns the folder of a Postgres server's programs: the one on
// the PATH, or else the newest of the folders that a pattern matches.
func findPostgres(pattern string) (string, error) {
	folders, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	if program, err := exec.LookPath("postgres"); err == nil {
		if program, err = filepath.EvalSymlinks(program); err == nil {
			folders = slices.Insert(folders, 0, filepath.Dir(program))
		}
	}
	for _, folder := range folders {
		if exists(folder, "postgres") && exists(folder, "initdb") && exists(folder, "pg_basebackup") {
			return folder, nil
		}
	}
	return "", missing("a Postgres server (postgres, initdb, pg_basebackup)", pattern)
}

// version is the number in a folder like /usr/lib/postgresql/15/bin.
func version(folder string) float64 {
	number, err := strconv.ParseFloat(filepath.Base(filepath.Dir(folder)), 64)
	if err != nil {
		return 0
	}
	return number
}

func findPgBouncer(folder string) (string, error) {
	if program, err := exec.LookPath("pgbouncer"); err == nil {
		return program, nil
	}
	if exists(folder, "pgbouncer") {
		return filepath.Join(folder, "pgbouncer"), nil
	}
	return "", missing("pgbouncer", folder)
}

func exists(folder, program string) bool {
	_, err := os.Stat(filepath.Join(folder, program))
	return err == nil
}

func missing(program, place string) error {
	return fmt.Errorf("this test needs %s, and there is none on the PATH or in %s: run make setup", program, place)
}
