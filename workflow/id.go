package workflow

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// RunID names a run: a version 7 UUID, so that ids sort by the time they were
// made. The zero RunID names no run; a [StartRequest] with it gets a new one.
type RunID [16]byte

// NewRunID returns a fresh id. Clients choose the id of a run before they
// start it, so that a start whose answer was lost is repeated safely.
func NewRunID() RunID {
	var id RunID
	_, _ = rand.Read(id[6:]) // never fails: crypto/rand ends the process instead
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], millis[2:])
	id[6] = 0x70 | id[6]&0x0f // version 7, RFC 9562 section 5.7
	id[8] = 0x80 | id[8]&0x3f // variant 10
	return id
}

// ParseRunID reads the 36-character form that [RunID.String] writes. Any UUID
// will do, not only version 7.
func ParseRunID(text string) (RunID, error) {
	var id RunID
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return RunID{}, invalidRunID(text)
	}
	compact := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(id[:], []byte(compact)); err != nil {
		return RunID{}, invalidRunID(text)
	}
	return id, nil
}

func invalidRunID(text string) error {
	const most = 64
	if len(text) > most {
		text = text[:most] + "…"
	}
	return &InputError{Field: "id", Reason: fmt.Sprintf("%q is not a run id; expected a UUID such as %s", text, RunID{0x01, 0x93})}
}

// Offset is the id that is n places after id, in the order of ids: the same each
// time, and a fresh one as far as id is. It is a UUID of the same version.
func (id RunID) Offset(n int) RunID {
	const counted = 1<<62 - 1 // all but the variant
	last := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], last&^counted|(last+uint64(n))&counted)
	return id
}

// String returns the id in its 36-character form, lower case.
func (id RunID) String() string {
	text, _ := id.MarshalText()
	return string(text)
}

// IsZero reports whether id names no run.
func (id RunID) IsZero() bool { return id == RunID{} }

// MarshalText writes the 36-character form, in JSON too.
func (id RunID) MarshalText() ([]byte, error) {
	text := make([]byte, 36)
	hex.Encode(text[:8], id[:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return text, nil
}

// UnmarshalText reads what [RunID.MarshalText] writes.
func (id *RunID) UnmarshalText(text []byte) error {
	parsed, err := ParseRunID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
