package postgres

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence"
)

const insertToken = `
INSERT INTO singularity.api_tokens (id, name, scope, hash, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)`

// CreateToken implements [persistence.Tokens].
func (s *Store) CreateToken(ctx context.Context, token persistence.Token) error {
	_, err := s.readers.Exec(ctx, insertToken, token.ID, token.Name, string(token.Scope), token.Hash[:], token.CreatedAt, token.ExpiresAt)
	if err != nil {
		return fmt.Errorf("create token %s: %w", token.ID, translate(s.afterClose(err)))
	}
	return nil
}

const tokenColumns = `id, name, scope, hash, created_at, expires_at, revoked_at, last_used_at`

func scanToken(row scanner) (persistence.Token, error) {
	var token persistence.Token
	var hash []byte
	err := row.Scan(&token.ID, &token.Name, (*string)(&token.Scope), &hash, &token.CreatedAt,
		&token.ExpiresAt, &token.RevokedAt, &token.LastUsedAt)
	copy(token.Hash[:], hash)
	inUTC(&token.CreatedAt, token.ExpiresAt, token.RevokedAt, token.LastUsedAt)
	return token, err
}

const listTokens = `
SELECT ` + tokenColumns + `
FROM singularity.api_tokens
ORDER BY created_at, id COLLATE "C"`

// Tokens implements [persistence.Tokens].
func (s *Store) Tokens(ctx context.Context) ([]persistence.Token, error) {
	var tokens []persistence.Token
	err := s.query(ctx, func(row scanner) error {
		token, err := scanToken(row)
		tokens = append(tokens, token)
		return err
	}, listTokens)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

const revokeToken = `
UPDATE singularity.api_tokens
SET revoked_at = coalesce(revoked_at, now())
WHERE id = $1
RETURNING ` + tokenColumns

// RevokeToken implements [persistence.Tokens].
func (s *Store) RevokeToken(ctx context.Context, id string) (persistence.Token, error) {
	var token persistence.Token
	found := false
	err := s.query(ctx, func(row scanner) (err error) {
		found = true
		token, err = scanToken(row)
		return err
	}, revokeToken, id)
	if err == nil && !found {
		err = persistence.ErrTokenNotFound
	}
	if err != nil {
		return persistence.Token{}, fmt.Errorf("revoke token %s: %w", id, err)
	}
	return token, nil
}

const touchToken = `
UPDATE singularity.api_tokens
SET last_used_at = $2
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)`

// TouchToken implements [persistence.Tokens].
func (s *Store) TouchToken(ctx context.Context, id string, at time.Time) error {
	if _, err := s.readers.Exec(ctx, touchToken, id, at); err != nil {
		return fmt.Errorf("touch token %s: %w", id, translate(s.afterClose(err)))
	}
	return nil
}
