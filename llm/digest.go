package llm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"strings"
)

// digest sums up a text or more, to tell whether two are the same. It stays in the
// database that has the texts: what a hub gets is sealed, see
// [centralcloud.Seal].
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

// add adds a text. Space around it makes no difference.
func (d digest) add(text string) {
	text = strings.TrimSpace(text)
	_ = binary.Write(d, binary.BigEndian, uint64(len(text))) // hashes take all
	_, _ = d.Write([]byte(text))
}

// String is 16 hex digits.
func (d digest) String() string { return hex.EncodeToString(d.Sum(nil)[:8]) }

func digestOf(texts ...string) string {
	d := newDigest()
	for _, text := range texts {
		d.add(text)
	}
	return d.String()
}

func digestOfMessages(messages []Message) string {
	d := newDigest()
	for _, message := range messages {
		d.add(string(message.Role))
		d.add(message.Content)
	}
	return d.String()
}

func digestOfVector(vector []float32) string {
	bytes := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		bytes = binary.BigEndian.AppendUint32(bytes, math.Float32bits(x))
	}
	d := newDigest()
	_, _ = d.Write(bytes)
	return d.String()
}
