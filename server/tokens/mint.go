// Package tokens is about the tokens that callers of the API show: how they
// are made, and whether one is good.
//
// A token reads sgt_ID_SECRET. The id names it and is no secret, the secret has
// 130 random bits. Stores keep the id and a hash of the whole.
package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"regexp"

	"singularity/persistence"
)

// Prefix is what every token begins with, for programs that look for secrets
// in the wrong places.
const Prefix = "sgt_"

// form is that of a token; its group is the id.
var form = regexp.MustCompile(`^` + Prefix + `([A-Z2-7]{10})_[A-Z2-7]{26}$`)

// Mint makes a token with an id and a hash of its own. The text is what its
// bearer shows; nothing else can tell it again.
func Mint() (text string, token persistence.Token) {
	id := rand.Text()[:10]
	text = Prefix + id + "_" + rand.Text()
	return text, persistence.Token{ID: id, Hash: sha256.Sum256([]byte(text))}
}

// idOf returns the id of a token's text.
func idOf(text string) (id string, ok bool) {
	parts := form.FindStringSubmatch(text)
	if parts == nil {
		return "", false
	}
	return parts[1], true
}
