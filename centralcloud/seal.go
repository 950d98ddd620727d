package centralcloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Seal is a key that the nodes of a cluster share and the hub does not have. What
// is sealed can be compared, and not guessed: without the key, short questions
// could be told from their digests by whoever tries all that come to mind.
type Seal []byte

// SealSecret is the name of the secret in the nodes' database that is their seal.
const SealSecret = "centralcloud_seal"

// of returns 16 hex digits that are the same for the same parts.
func (s Seal) of(parts ...string) string {
	mac := hmac.New(sha256.New, s)
	for _, part := range parts {
		_, _ = mac.Write([]byte(part)) // never fails
		_, _ = mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// question is what a step asked of a model, sealed; empty when nobody knows.
func (s Seal) question(c *Call) string {
	if len(s) == 0 || c.InputDigest == "" {
		return ""
	}
	return s.of("question", c.Workflow, c.Step, c.Provider, c.Model, c.InputDigest)
}

func (s Seal) answer(c *Call) string { return s.of("answer", c.AnswerDigest) }
