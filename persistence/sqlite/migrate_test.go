package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"singularity/migrations"
	"singularity/persistence"
)

func openRaw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, databaseFile)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// schema is the text of all that the migrations made.
func schema(t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT coalesce(sql, name) FROM sqlite_schema
		WHERE tbl_name <> '`+migrationsTable+`' AND name NOT LIKE 'sqlite_sequence' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	var objects []string
	if err := each(rows, func(row scanner) error { return appendText(&objects, row) }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(objects, "\n")
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	db := openRaw(t, t.TempDir())
	provider, err := newProvider(db)
	if err != nil {
		t.Fatal(err)
	}
	mustMigrate := func(results []*goose.MigrationResult, err error) {
		t.Helper()
		if err != nil || len(results) == 0 {
			t.Fatalf("migrated %d steps: %v", len(results), err)
		}
	}
	mustMigrate(provider.Up(t.Context()))
	first := schema(t, db)
	mustMigrate(provider.DownTo(t.Context(), 0))
	if left := schema(t, db); left != "" {
		t.Errorf("the way down left\n%s", left)
	}
	mustMigrate(provider.Up(t.Context()))
	if second := schema(t, db); second != first {
		t.Errorf("the second way up made\n%s\nthe first\n%s", second, first)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	db := openRaw(t, dir)
	if _, err := db.ExecContext(t.Context(), `INSERT INTO `+migrationsTable+` (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	before := schema(t, db)
	_, err = Open(t.Context(), Config{Dir: dir})
	if !errors.Is(err, persistence.ErrSchemaNewer) {
		t.Fatalf("open: %v, want %v", err, persistence.ErrSchemaNewer)
	}
	for _, want := range []string{dir, "999", fmt.Sprintf("up to %d;", migrations.Newest(migrations.SQLite())), "newer program"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if after := schema(t, db); after != before {
		t.Errorf("the refused database was changed")
	}
}

func TestOpenIsGivenUpWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := Open(ctx, Config{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v, want %v", err, context.Canceled)
	}
	store, err := Open(t.Context(), Config{Dir: dir}) // the lock is free again
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
