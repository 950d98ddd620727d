package sqlite

import (
	"context"
	"fmt"

	"singularity/persistence"
)

const (
	readSecret = `SELECT value FROM secrets WHERE name = ?`
	keepSecret = `
INSERT INTO secrets (name, value, made_at)
VALUES (?, ?, ?)
ON CONFLICT (name) DO NOTHING`
)

// Secret implements [persistence.Secrets].
func (s *Store) Secret(ctx context.Context, name string) (secret []byte, err error) {
	read := func() error {
		return s.readers.query(ctx, func(row scanner) error { return row.Scan(&secret) }, readSecret, name)
	}
	err = read()
	if err == nil && secret == nil {
		err = s.writer.transaction(ctx, func(t *tx) error {
			_, err := t.exec(keepSecret, name, persistence.NewSecret(), t.at)
			return err
		})
		if err == nil {
			err = read() // it may be another's
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return secret, nil
}
