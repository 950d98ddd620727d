package gossip

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Key is a secret that the members of a cluster share: 16, 24 or 32 bytes, for
// AES-128, AES-192 or AES-256. Printed or logged it shows its fingerprint;
// [Key.Encode] shows the key.
type Key []byte

// fingerprintSize is how many bytes a fingerprint has.
const fingerprintSize = 4

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
	return hex.EncodeToString(sum[:fingerprintSize])
}

// CheckFingerprint returns what is wrong with a text that is to be a fingerprint,
// but not the text: it may be a key, by mistake.
func CheckFingerprint(text string) error {
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != fingerprintSize || text != strings.ToLower(text) {
		return fmt.Errorf("what was given is no fingerprint of a key: expected %d digits of 0-9 and a-f", 2*fingerprintSize)
	}
	return nil
}

// GoString returns the fingerprint, too.
func (k Key) GoString() string { return k.String() }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
