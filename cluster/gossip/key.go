package gossip

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
)

// Key is a secret that the members of a cluster share: 16, 24 or 32 bytes, for
// AES-128, AES-192 or AES-256. Printed or logged it shows its fingerprint;
// [Key.Encode] shows the key.
type Key []byte

// NewKey returns a random key of 32 bytes.
func NewKey() Key {
	key := make(Key, 32)
	_, _ = rand.Read(key) // it never fails
	return key
}

// ParseKey reads what [Key.Encode] wrote.
func ParseKey(text string) (Key, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the key is not base64: %w", err)
	}
	return key, Key(key).validate()
}

func (k Key) validate() error {
	if !slices.Contains([]int{16, 24, 32}, len(k)) {
		return fmt.Errorf("the key has %d bytes: expected 16, 24 or 32", len(k))
	}
	return nil
}

// Encode returns the key as key files have it, in base64.
func (k Key) Encode() string { return base64.StdEncoding.EncodeToString(k) }

// String returns a fingerprint, which is the same for the same key and gives
// nothing else away.
func (k Key) String() string {
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:4])
}

// GoString returns the fingerprint, too.
func (k Key) GoString() string { return k.String() }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
