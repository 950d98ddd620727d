package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"singularity/persistence"
)

// TokenStore is the part of a database that another process may change while a
// [Store] has it.
type TokenStore struct{ connections }

var _ persistence.Tokens = (*TokenStore)(nil)

// OpenTokens opens the tokens of the database in a directory, without its
// lock. A database that is not there yet, or was last used by an older program,
// is made or migrated first; for that moment nobody else may have it.
func OpenTokens(ctx context.Context, dir string) (*TokenStore, error) {
	s := &TokenStore{}
	if err := s.open(ctx, dir); err != nil {
		return nil, fmt.Errorf("open the tokens in %s: %w", dir, errors.Join(err, s.Close()))
	}
	return s, nil
}

// Close closes the database.
func (s *TokenStore) Close() error { return s.connections.close() }

func (s *TokenStore) open(ctx context.Context, dir string) error {
	path, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return err
	}
	if err := ensureTokens(ctx, dir, path); err != nil {
		return err
	}
	if s.writer, err = openWriter(path, 0); err != nil {
		return err
	}
	s.readers, err = openReaders(path, 1)
	return err
}

// ensureTokens sees to it that the database has a table of tokens.
func ensureTokens(ctx context.Context, dir, path string) error {
	there, err := hasTokens(ctx, path)
	if err != nil || there {
		return err
	}
	store, err := Open(ctx, Config{Dir: dir}) // which migrates
	if err != nil {
		return err
	}
	return store.Close()
}

const tokensTable = `
SELECT count(*) > 0
FROM sqlite_schema
WHERE type = 'table' AND name = 'api_tokens'`

func hasTokens(ctx context.Context, path string) (there bool, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	readers, err := openReaders(path, 1)
	if err != nil {
		return false, err
	}
	err = readers.query(ctx, func(row scanner) error { return row.Scan(&there) }, tokensTable)
	return there, errors.Join(err, readers.close())
}
