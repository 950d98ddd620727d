package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/persistence"
)

// CreateToken implements [persistence.Tokens].
func (s *Store) CreateToken(ctx context.Context, token persistence.Token) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if _, taken := s.tokens[token.ID]; taken {
		return fmt.Errorf("create token %s: %w: the id is in use", token.ID, persistence.ErrBadWrite)
	}
	if _, err := persistence.ParseTokenScope(string(token.Scope)); err != nil {
		return fmt.Errorf("create token %s: %w: %w", token.ID, persistence.ErrBadWrite, err)
	}
	token.CreatedAt = stored(token.CreatedAt)
	token.ExpiresAt = storedOrNil(token.ExpiresAt)
	token.RevokedAt, token.LastUsedAt = nil, nil
	s.tokens[token.ID] = token
	return nil
}

// Tokens implements [persistence.Tokens].
func (s *Store) Tokens(ctx context.Context) ([]persistence.Token, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.tokens), func(a, b persistence.Token) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	}), nil
}

// RevokeToken implements [persistence.Tokens].
func (s *Store) RevokeToken(ctx context.Context, id string) (persistence.Token, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Token{}, err
	}
	defer s.mu.Unlock()
	token, found := s.tokens[id]
	if !found {
		return persistence.Token{}, fmt.Errorf("revoke token %s: %w", id, persistence.ErrTokenNotFound)
	}
	if token.RevokedAt == nil {
		at := now()
		token.RevokedAt = &at
		s.tokens[id] = token
	}
	return token, nil
}

// TouchToken implements [persistence.Tokens].
func (s *Store) TouchToken(ctx context.Context, id string, at time.Time) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if token, found := s.tokens[id]; found && (token.LastUsedAt == nil || token.LastUsedAt.Before(at)) {
		token.LastUsedAt = storedOrNil(&at)
		s.tokens[id] = token
	}
	return nil
}

func storedOrNil(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	kept := stored(*at)
	return &kept
}
