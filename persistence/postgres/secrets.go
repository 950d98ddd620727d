package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
)

const (
	readSecret = `SELECT value FROM singularity.secrets WHERE name = $1`
	keepSecret = `
INSERT INTO singularity.secrets (name, value, made_at)
VALUES ($1, $2, now())
ON CONFLICT (name) DO NOTHING`
)

// Secret implements [persistence.Secrets].
func (s *Store) Secret(ctx context.Context, name string) (secret []byte, err error) {
	read := func() error {
		return s.query(ctx, func(row scanner) error { return row.Scan(&secret) }, readSecret, name)
	}
	err = read()
	if err == nil && secret == nil {
		if _, err = s.readers.Exec(ctx, keepSecret, name, persistence.NewSecret()); err != nil {
			err = translate(s.afterClose(err))
		} else {
			err = read() // it may be another's
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return secret, nil
}
