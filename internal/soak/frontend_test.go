package soak

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"
)

// message is one of what a client of Postgres sends after it has started up.
type message struct {
	kind byte
	raw  []byte // as sent
}

// Kinds of messages.
const (
	parse       = 'P'
	bind        = 'B'
	simpleQuery = 'Q'
	syncBatch   = 'S'
)

// body is what follows the kind and the length.
func (m message) body() []byte { return m.raw[5:] }

// longestMessage bounds what is taken for the length of a message.
const longestMessage = 1 << 28

// readMessage reads one message.
func readMessage(r io.Reader) (message, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return message{}, err
	}
	raw, err := readBody(r, head, binary.BigEndian.Uint32(head[1:])-4)
	return message{head[0], raw}, err
}

// readStartup reads the first message of a connection, which has no kind.
func readStartup(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	return readBody(r, head, binary.BigEndian.Uint32(head)-4)
}

func readBody(r io.Reader, head []byte, length uint32) ([]byte, error) {
	if length > longestMessage {
		return nil, fmt.Errorf("a message is %d bytes long; expected the protocol of Postgres", length)
	}
	raw := slices.Concat(head, make([]byte, length))
	_, err := io.ReadFull(r, raw[len(head):])
	return raw, err
}

// batch follows which statements a client has sent since the last end of a
// batch.
type batch struct {
	prepared   map[string]string // text by name
	statements []string          // text and, as they were sent, parameters
}

// add takes in a message, and reports whether it ends the batch.
func (b *batch) add(m message) (ends bool) {
	switch m.kind {
	case parse: // name, text
		name, rest := cutString(m.body())
		text, _ := cutString(rest)
		if b.prepared == nil {
			b.prepared = map[string]string{}
		}
		b.prepared[name] = text
	case bind: // portal, name
		_, rest := cutString(m.body())
		name, parameters := cutString(rest)
		b.statements = append(b.statements, b.prepared[name]+string(parameters))
	case simpleQuery:
		text, _ := cutString(m.body())
		b.statements = append(b.statements, text)
		return true
	case syncBatch:
		return true
	}
	return false
}

// cutString splits off a string that ends with a zero byte.
func cutString(data []byte) (text string, rest []byte) {
	before, after, _ := bytes.Cut(data, []byte{0})
	return string(before), after
}

func TestBatchKnowsItsStatements(t *testing.T) {
	t.Parallel()
	var sent bytes.Buffer
	for _, m := range []struct {
		kind byte
		body string
	}{
		{parse, "take\x00UPDATE things\x00\x00\x00"},
		{syncBatch, ""},
		{bind, "\x00take\x00+5"},
		{parse, "\x00SELECT 1\x00\x00\x00"},
		{bind, "\x00\x00"},
		{syncBatch, ""},
		{simpleQuery, "COMMIT\x00"},
	} {
		sent.WriteByte(m.kind)
		_ = binary.Write(&sent, binary.BigEndian, uint32(len(m.body)+4))
		sent.WriteString(m.body)
	}
	var got [][]string
	b := batch{}
	for sent.Len() > 0 {
		m, err := readMessage(&sent)
		if err != nil {
			t.Fatal(err)
		}
		if b.add(m) {
			got = append(got, b.statements)
			b.statements = nil
		}
	}
	want := "[[] [\"UPDATE things+5\" \"SELECT 1\"] [\"COMMIT\"]]"
	if fmt.Sprintf("%q", got) != want {
		t.Errorf("got batches %q, want %s", got, want)
	}
}
