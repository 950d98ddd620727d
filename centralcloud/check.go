package centralcloud

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf16"
	"unicode/utf8"
)

var queueName = regexp.MustCompile(fmt.Sprintf(`^[a-z0-9_]{1,%d}$`, MaxQueueName))

// CheckQueueName returns an error that wraps [ErrBadName] unless every database
// can have a queue of that name.
func CheckQueueName(name string) error {
	if queueName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%w: %q; expected 1 to %d characters of a-z, 0-9 and _", ErrBadName, name, MaxQueueName)
}

// Check returns an error that wraps [ErrBadMessage] unless every database can
// store the message.
func (d Draft) Check() error {
	if d.Body == nil {
		return fmt.Errorf("%w: it has no body; expected JSON, null at least", ErrBadMessage)
	}
	if err := checkDocument("body", d.Body); err != nil {
		return err
	}
	if d.Headers == nil {
		return nil
	}
	if err := checkDocument("headers", d.Headers); err != nil {
		return err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(d.Headers, &object) != nil || object == nil {
		return fmt.Errorf("%w: its headers are not an object", ErrBadMessage)
	}
	return nil
}

func checkDocument(part string, document json.RawMessage) error {
	switch {
	case len(document) > MaxBody:
		return fmt.Errorf("%w: its %s has %d bytes; expected %d at most", ErrBadMessage, part, len(document), MaxBody)
	case !json.Valid(document) || !utf8.Valid(document):
		return fmt.Errorf("%w: its %s is not JSON in UTF-8", ErrBadMessage, part)
	case !storable(document):
		return fmt.Errorf("%w: its %s has an escape that stands for no character, or for NUL", ErrBadMessage, part)
	}
	return nil
}

// storable reports that Postgres has a character for each escape in a valid
// document.
func storable(document []byte) bool {
	for i := 0; i < len(document); i++ {
		if document[i] != '\\' {
			continue
		}
		i++
		if document[i] != 'u' {
			continue
		}
		first := unit(document[i+1:])
		i += 4
		switch {
		case first == 0:
			return false
		case utf16.IsSurrogate(first):
			rest := document[i+1:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || utf16.DecodeRune(first, unit(rest[2:])) == utf8.RuneError {
				return false
			}
			i += 6
		}
	}
	return true
}

// unit is the UTF-16 code unit of an escape, by its four digits.
func unit(digits []byte) rune {
	var bytes [2]byte
	_, _ = hex.Decode(bytes[:], digits[:4]) // the document is valid
	return rune(bytes[0])<<8 | rune(bytes[1])
}
