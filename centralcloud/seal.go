package centralcloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Seal is a key that the nodes of a cluster share and the hub does not have. What
// is sealed can be compared, and not guessed: without the key, short questions
// could be told from their digests by whoever tries all that come to mind.
type Seal []byte

// SealSecret is the name of the secret in the nodes' database that is their seal.
const SealSecret = "centralcloud_seal"

// Sealed is a text under a seal. It is the same for the same texts, and any number
// is as likely as any other. In JSON it is 16 hex digits.
type Sealed uint64

func (s Seal) of(parts ...string) Sealed {
	mac := hmac.New(sha256.New, s)
	for _, part := range parts {
		_, _ = mac.Write([]byte(part)) // never fails
		_, _ = mac.Write([]byte{0})
	}
	return Sealed(binary.BigEndian.Uint64(mac.Sum(nil)))
}

// question is what a step asked of a model, sealed, unless nobody knows.
func (s Seal) question(c *Call) (sealed Sealed, known bool) {
	if len(s) == 0 || c.InputDigest == "" {
		return 0, false
	}
	return s.of("question", c.Workflow, c.Step, c.Provider, c.Model, c.InputDigest), true
}

func (s Seal) answer(c *Call) Sealed { return s.of("answer", c.AnswerDigest) }

// MarshalText writes 16 hex digits.
func (s Sealed) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(s)), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Sealed) UnmarshalText(text []byte) error {
	number, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) != 16 {
		return fmt.Errorf("%q is not sealed; expected 16 hex digits", text)
	}
	*s = Sealed(number)
	return nil
}
