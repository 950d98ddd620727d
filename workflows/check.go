package workflows

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"singularity/workflow"
)

// maxName is how many bytes a name in an input may have, such as an agent's or
// a task type's.
const maxName = 128

// checkID checks a field that becomes the key of a run.
func checkID(field, value string) error {
	return checkText(field, value, workflow.MaxKey)
}

// checkName checks a field that names something.
func checkName(field, value string) error {
	return checkText(field, value, maxName)
}

func checkText(field, value string, limit int) error {
	switch {
	case value == "":
		return workflow.Invalid(field, "is missing")
	case len(value) > limit:
		return workflow.Invalidf(field, "has %d bytes; expected at most %d", len(value), limit)
	case strings.TrimSpace(value) != value:
		return workflow.Invalid(field, "begins or ends with a space")
	case strings.ContainsFunc(value, unicode.IsControl):
		return workflow.Invalid(field, "has control characters")
	}
	return nil
}

// oneOf checks a field whose values are known.
func oneOf[T ~string](field string, value T, known []T) error {
	if slices.Contains(known, value) {
		return nil
	}
	return workflow.Invalidf(field, "is %q; expected one of %q", value, known)
}

// digest is what summaries keep of a text that may be private: enough to
// compare it with another one.
type digest struct {
	Characters int    `json:"characters"`
	SHA256     string `json:"sha256"` // the first 8 bytes
}

func digestOf(text string) digest {
	sum := sha256.Sum256([]byte(text))
	return digest{Characters: utf8.RuneCountInString(text), SHA256: hex.EncodeToString(sum[:8])}
}

// summary encodes a document for a run's summary.
func summary(document any) json.RawMessage {
	encoded, _ := json.Marshal(document) // plain structs of ours always encode
	return encoded
}
