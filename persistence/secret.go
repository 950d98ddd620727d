package persistence

import (
	"context"
	"crypto/rand"
)

// SecretSize is how many bytes a secret has.
const SecretSize = 32

// Secrets keeps random bytes that all who use the store share, and nobody else
// knows.
type Secrets interface {
	// Secret returns the secret of a name. The first one to ask for it makes it, and
	// it stays.
	Secret(ctx context.Context, name string) ([]byte, error)
}

// NewSecret returns random bytes, for a store to keep.
func NewSecret() []byte {
	secret := make([]byte, SecretSize)
	_, _ = rand.Read(secret) // never fails
	return secret
}
