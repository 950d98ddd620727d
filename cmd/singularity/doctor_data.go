package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"singularity/migrations"
)

// scratchSize is how much the doctor writes to see whether the disk takes it.
const scratchSize = 1 << 20

// checkDirectory looks whether files can be written where the database is, or
// will be.
func checkDirectory(dir string) (string, error) {
	existing, missing := dir, false
	for {
		info, err := os.Stat(existing)
		if err == nil && !info.IsDir() {
			return "", fmt.Errorf("%s is not a directory; choose another with --data-dir", existing)
		}
		parent := filepath.Dir(existing)
		if !errors.Is(err, fs.ErrNotExist) || parent == existing {
			break
		}
		existing, missing = parent, true
	}
	if err := writeScratch(existing); err != nil {
		return "", fmt.Errorf("%s cannot be written: %w", existing, err)
	}
	if missing {
		return dir + " is made at the first start", nil
	}
	return dir + " can be written", nil
}

// writeScratch writes a file, brings it to the disk and removes it.
func writeScratch(dir string) error {
	scratch, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	_, err = scratch.Write(make([]byte, scratchSize))
	return errors.Join(err, scratch.Sync(), scratch.Close(), os.Remove(scratch.Name()))
}

// checkDatabase looks who has the database, and whether this program knows its
// schema.
func checkDatabase(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "singularity.db")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "none yet", nil
	}
	holder, err := lockHolder(dir)
	if err != nil {
		return "", err
	}
	applied, err := appliedMigration(ctx, file)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", file, err)
	}
	known := migrations.Newest(migrations.SQLite())
	switch {
	case applied > known:
		return "", fmt.Errorf("its schema is at migration %d, this program knows %d; use the newer program, or another --data-dir", applied, known)
	case applied < known:
		return fmt.Sprintf("schema at migration %d; the next start brings it to %d; %s", applied, known, holder), nil
	default:
		return fmt.Sprintf("schema at migration %d, the newest; %s", applied, holder), nil
	}
}

// lockHolder says which process has the database open.
func lockHolder(dir string) (string, error) {
	lock := flock.New(filepath.Join(dir, "singularity.lock"), flock.SetFlag(os.O_RDWR))
	free, err := lock.TryLock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no process has it open", nil
	case err != nil:
		return "", fmt.Errorf("lock %s: %w", lock.Path(), err)
	case free:
		return "no process has it open", lock.Unlock()
	}
	pid, err := os.ReadFile(filepath.Join(dir, "singularity.pid"))
	if err != nil {
		return "a process has it open", nil //nolint:nilerr // the id is a courtesy
	}
	return fmt.Sprintf("process %s has it open", strings.TrimSpace(string(pid))), nil
}

const selectAppliedMigration = `SELECT coalesce(max(version_id), 0) FROM schema_migrations`

func appliedMigration(ctx context.Context, file string) (number int64, err error) {
	if file, err = filepath.Abs(file); err != nil {
		return 0, err // a file: URL begins at the root
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: "mode=ro"}
	if _, err := os.Stat(file + "-wal"); errors.Is(err, fs.ErrNotExist) {
		name.RawQuery += "&immutable=1" // leaves no files behind
	}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, selectAppliedMigration).Scan(&number)
	return number, err
}

// clockTolerance is how far clocks may differ: file systems round.
const clockTolerance = 2 * time.Second

// checkClock looks whether the clock is behind what it said before. Runs that
// wait for a time would wait longer then.
func checkClock(dir string, now time.Time) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // gone meanwhile
		}
		if ahead := info.ModTime().Sub(now); ahead > clockTolerance {
			return "", fmt.Errorf("it says %s, but %s was written %s later than that; set the clock", now.UTC().Format(time.RFC3339),
				filepath.Join(dir, entry.Name()), ahead.Round(time.Second))
		}
	}
	return now.UTC().Format(time.RFC3339), nil
}
