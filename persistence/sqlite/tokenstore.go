package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"singularity/persistence"
)

// TokenStore is the part of a database that another process may change while a
// [Store] has it.
type TokenStore struct{ connections }

var _ persistence.Tokens = (*TokenStore)(nil)

// errNoTokens: a [Store] makes the table, not who merely looks for tokens.
var errNoTokens = errors.New("there is no database with tokens; a node makes it, or brings it up to date, when it starts: start one there, or name another directory")

// OpenTokens opens the tokens of the database in a directory, without its
// lock. It makes and migrates nothing.
func OpenTokens(ctx context.Context, dir string) (*TokenStore, error) {
	s := &TokenStore{}
	if err := s.open(ctx, dir); err != nil {
		return nil, fmt.Errorf("open the tokens in %s: %w", dir, errors.Join(err, s.Close()))
	}
	return s, nil
}

// Close closes the database.
func (s *TokenStore) Close() error { return s.close() }

const hasTokens = `
SELECT count(*) > 0
FROM sqlite_schema
WHERE type = 'table' AND name = 'api_tokens'`

func (s *TokenStore) open(ctx context.Context, dir string) error {
	path, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return errNoTokens
	}
	if s.readers, err = openReaders(path, 1); err != nil {
		return err
	}
	there := false
	err = s.readers.query(ctx, func(row scanner) error { return row.Scan(&there) }, hasTokens)
	if err == nil && !there {
		err = errNoTokens
	}
	if err != nil {
		return err
	}
	s.writer, err = openWriter(path, 0)
	return err
}
