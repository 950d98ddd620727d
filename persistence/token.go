package persistence

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Tokens keeps what callers of the API show to be let in. Whoever reaches the
// store may make and revoke them.
type Tokens interface {
	// CreateToken stores a new token. An id in use is ErrBadWrite.
	CreateToken(ctx context.Context, token Token) error
	// Tokens lists all tokens, the expired and revoked ones too, by the time of
	// their creation, then by id.
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken ends a token and returns it, or ErrTokenNotFound. The time at
	// which it was first revoked stays.
	RevokeToken(ctx context.Context, id string) (Token, error)
	// TouchToken notes that a token was used, for people: a time before the last
	// one and an unknown id change nothing.
	TouchToken(ctx context.Context, id string, at time.Time) error
}

// ErrTokenNotFound: there is no token of that id.
var ErrTokenNotFound = errors.New("there is no such token")

// Token is what is kept of a token of the API, which is not the token itself.
type Token struct {
	ID    string // no secret: the token begins with it
	Name  string // for people
	Scope TokenScope
	// Hash is the SHA-256 of the token. That is enough for a secret of 128 random
	// bits and more; a slow hash makes up for the few bits of a password.
	Hash       [sha256.Size]byte
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: never
	RevokedAt  *time.Time
	LastUsedAt *time.Time
}

// Good reports whether the token lets its bearer in at a time.
func (t Token) Good(at time.Time) bool {
	return t.RevokedAt == nil && (t.ExpiresAt == nil || at.Before(*t.ExpiresAt))
}

// TokenScope says what a token lets its bearer do.
type TokenScope string

// The scopes. Each includes those before it.
const (
	ScopeRead  TokenScope = "read"  // look
	ScopeRun   TokenScope = "run"   // start runs, change them, and send messages
	ScopeAdmin TokenScope = "admin" // everything
)

// TokenScopes lists the scopes, the smallest first.
var TokenScopes = []TokenScope{ScopeRead, ScopeRun, ScopeAdmin}

// Covers reports whether a scope includes another one. Unknown scopes neither
// cover anything nor are covered.
func (s TokenScope) Covers(needed TokenScope) bool {
	need := slices.Index(TokenScopes, needed)
	return need >= 0 && slices.Index(TokenScopes, s) >= need
}

// ParseTokenScope returns the scope of a name.
func ParseTokenScope(name string) (TokenScope, error) {
	if scope := TokenScope(name); slices.Contains(TokenScopes, scope) {
		return scope, nil
	}
	return "", fmt.Errorf("%q is not a scope; expected read, run or admin", name)
}
