package centralcloud

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// fingerprinted is how much of an error's text counts, in bytes.
const fingerprinted = 2048

// masks are what differs between errors of one kind, the widest first.
var masks = []struct {
	of   *regexp.Regexp
	with string
}{
	{regexp.MustCompile("\"[^\"]*\"|`[^`]*`|'[^']*'|“[^”]*”"), "<quoted>"},
	{regexp.MustCompile(`[a-z][a-z0-9+.-]*://\S+`), "<url>"},
	{regexp.MustCompile(`(?:[\w.~-]*/){2,}[\w.~-]*`), "<path>"},
	{regexp.MustCompile(`\b[\w-]*\d[\w-]*(?:\.\d+)*`), "<id>"}, // numbers, hexadecimal ones, names with digits in them
	{regexp.MustCompile(`\s+`), " "},
}

// mask leaves of an error's text what errors of its kind have in common.
func mask(text string) string {
	text = strings.ToLower(text[:min(len(text), fingerprinted)])
	for _, m := range masks {
		text = m.of.ReplaceAllString(text, m.with)
	}
	return strings.TrimSpace(text)
}

// Fingerprint is the same for errors of a class whose texts differ only in
// numbers, identifiers, paths and what is in quotation marks. It tells nothing of
// the text to whoever does not have it.
func Fingerprint(class, text string) string {
	sum := sha256.Sum256([]byte(class + "\x00" + mask(text)))
	return hex.EncodeToString(sum[:8])
}
