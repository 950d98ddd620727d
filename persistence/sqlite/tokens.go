package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"singularity/persistence"
)

var _ persistence.Tokens = connections{}

const insertToken = `
INSERT INTO api_tokens (id, name, scope, hash, created_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?)`

// CreateToken implements [persistence.Tokens].
func (c connections) CreateToken(ctx context.Context, token persistence.Token) error {
	err := c.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(insertToken, token.ID, token.Name, string(token.Scope), token.Hash[:],
			token.CreatedAt.UnixMicro(), microsOrNil(token.ExpiresAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("create token %s: %w", token.ID, err)
	}
	return nil
}

const tokenColumns = `id, name, scope, hash, created_at, expires_at, revoked_at, last_used_at`

func scanToken(row scanner) (persistence.Token, error) {
	var token persistence.Token
	var hash []byte
	var created int64
	var expires, revoked, used sql.NullInt64
	err := row.Scan(&token.ID, &token.Name, &token.Scope, &hash, &created, &expires, &revoked, &used)
	copy(token.Hash[:], hash)
	token.CreatedAt = moment(created)
	token.ExpiresAt, token.RevokedAt, token.LastUsedAt = moments(expires), moments(revoked), moments(used)
	return token, err
}

const listTokens = `
SELECT ` + tokenColumns + `
FROM api_tokens
ORDER BY created_at, id`

// Tokens implements [persistence.Tokens].
func (c connections) Tokens(ctx context.Context) ([]persistence.Token, error) {
	var list []persistence.Token
	err := c.readers.query(ctx, func(row scanner) error {
		token, err := scanToken(row)
		list = append(list, token)
		return err
	}, listTokens)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return list, nil
}

const revokeToken = `
UPDATE api_tokens
SET revoked_at = coalesce(revoked_at, ?)
WHERE id = ?
RETURNING ` + tokenColumns

// RevokeToken implements [persistence.Tokens].
func (c connections) RevokeToken(ctx context.Context, id string) (persistence.Token, error) {
	var token persistence.Token
	err := c.writer.transaction(ctx, func(t *tx) error {
		found := false
		err := t.query(func(row scanner) (err error) {
			found = true
			token, err = scanToken(row)
			return err
		}, revokeToken, t.at, id)
		if err == nil && !found {
			err = persistence.ErrTokenNotFound
		}
		return err
	})
	if err != nil {
		return persistence.Token{}, fmt.Errorf("revoke token %s: %w", id, err)
	}
	return token, nil
}

const touchToken = `
UPDATE api_tokens
SET last_used_at = ?1
WHERE id = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)`

// TouchToken implements [persistence.Tokens].
func (c connections) TouchToken(ctx context.Context, id string, at time.Time) error {
	err := c.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(touchToken, at.UnixMicro(), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("touch token %s: %w", id, err)
	}
	return nil
}

// microsOrNil is a time that may be missing as it is stored.
func microsOrNil(at *time.Time) any {
	if at == nil {
		return nil
	}
	return at.UnixMicro()
}
