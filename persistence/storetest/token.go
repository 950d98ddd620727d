package storetest

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"time"

	"singularity/persistence"
)

var tokenStories = []story{
	{name: "tokens/are listed as they were created, by time", tell: tokensListed},
	{name: "tokens/an id is used once", tell: tokenIDTwice},
	{name: "tokens/a scope that does not exist is not stored", tell: tokenScopeUnknown},
	{name: "tokens/a revoked one stays, with the time of the first revocation", tell: tokenRevoked},
	{name: "tokens/one that is not there cannot be revoked", tell: tokenRevokedUnknown},
	{name: "tokens/the last use is kept", tell: tokenTouched},
}

// draftToken is a token as it is created, in the precision of stores.
func draftToken(id string, created time.Time) persistence.Token {
	return persistence.Token{
		ID: id, Name: "ci of " + id, Scope: persistence.ScopeRun, Hash: sha256.Sum256([]byte(id)),
		CreatedAt: created.UTC().Truncate(time.Microsecond),
	}
}

// token creates a token that never expires.
func (f *fixture) token(id string, created time.Time) persistence.Token {
	f.Helper()
	token := draftToken(id, created)
	f.createToken(token)
	return token
}

func (f *fixture) createToken(token persistence.Token) {
	f.Helper()
	if err := f.store.CreateToken(f.Context(), token); err != nil {
		f.Fatalf("create token %s: %v", token.ID, err)
	}
}

func (f *fixture) tokens() []persistence.Token {
	f.Helper()
	tokens, err := f.store.Tokens(f.Context())
	if err != nil {
		f.Fatalf("tokens: %v", err)
	}
	return tokens
}

func (f *fixture) wantTokens(want ...persistence.Token) {
	f.Helper()
	if got := f.tokens(); !reflect.DeepEqual(got, want) {
		f.Errorf("tokens %+v, want %+v", got, want)
	}
}

func tokensListed(f *fixture) {
	if got := f.tokens(); len(got) != 0 {
		f.Errorf("tokens %+v in a new store, want none", got)
	}
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	expires := noon.Add(time.Hour)
	short := draftToken("B2", noon)
	short.Scope, short.ExpiresAt, short.Name = persistence.ScopeAdmin, &expires, ""
	f.createToken(short)
	late := f.token("A3", noon.Add(time.Microsecond))
	early := f.token("C1", noon)
	f.wantTokens(short, early, late)
}

func tokenIDTwice(f *fixture) {
	first := f.token("A1", time.Now())
	again := draftToken("A1", time.Now())
	again.Hash = sha256.Sum256([]byte("another"))
	if err := f.store.CreateToken(f.Context(), again); !errors.Is(err, persistence.ErrBadWrite) {
		f.Errorf("second token of an id: %v, want %v", err, persistence.ErrBadWrite)
	}
	f.wantTokens(first)
}

func tokenScopeUnknown(f *fixture) {
	token := draftToken("A1", time.Now())
	token.Scope = "root"
	if err := f.store.CreateToken(f.Context(), token); !errors.Is(err, persistence.ErrBadWrite) {
		f.Errorf("scope root: %v, want %v", err, persistence.ErrBadWrite)
	}
	f.wantTokens()
}

func tokenRevoked(f *fixture) {
	kept := f.token("A1", time.Now())
	doomed := f.token("A2", kept.CreatedAt.Add(time.Second))
	var first persistence.Token
	for i := range 2 {
		got, err := f.store.RevokeToken(f.Context(), doomed.ID)
		if err != nil || got.RevokedAt == nil {
			f.Fatalf("revoked %+v, %v", got, err)
		}
		if i == 0 {
			first = got
		}
	}
	doomed.RevokedAt = first.RevokedAt
	f.wantTokens(kept, doomed)
}

func tokenRevokedUnknown(f *fixture) {
	if _, err := f.store.RevokeToken(f.Context(), "A1"); !errors.Is(err, persistence.ErrTokenNotFound) {
		f.Errorf("got %v, want %v", err, persistence.ErrTokenNotFound)
	}
}

func tokenTouched(f *fixture) {
	token := f.token("A1", time.Now())
	used := token.CreatedAt.Add(time.Hour)
	for _, at := range []time.Time{used, used.Add(-time.Minute)} {
		if err := f.store.TouchToken(f.Context(), token.ID, at); err != nil {
			f.Fatalf("touch: %v", err)
		}
	}
	if err := f.store.TouchToken(f.Context(), "A2", used); err != nil {
		f.Errorf("touch of an unknown token: %v", err)
	}
	token.LastUsedAt = &used
	f.wantTokens(token)
}
