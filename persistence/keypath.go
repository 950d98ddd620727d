package persistence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"singularity/workflow"
)

// KeyPath says where in an input the key is by which a queue limits runs: the
// names of members from outside in, with a dot between two, and [n] for the
// element n of a list, from 0. A name is anything without a dot or bracket.
type KeyPath struct{ parts []pathPart }

// pathPart is a member by its name, or an element by its index.
type pathPart struct {
	name  string
	index int // -1 for a member
}

const (
	maxKeyPath  = 512 // bytes
	maxLimitKey = 256 // bytes; longer ones are cut, and told apart by a hash
)

// ParseKeyPath reads a path such as tenant, user.id or items[0].sku.
func ParseKeyPath(path string) (KeyPath, error) {
	malformed := workflow.Invalidf("key_path", "is %q; expected a path such as tenant, user.id or items[0].sku", path)
	if len(path) > maxKeyPath {
		return KeyPath{}, workflow.Invalidf("key_path", "has %d bytes; expected at most %d", len(path), maxKeyPath)
	}
	if !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
		return KeyPath{}, malformed
	}
	var parsed KeyPath
	for i, member := range strings.Split(path, ".") {
		name, elements, indexed := strings.Cut(member, "[")
		if name != "" {
			parsed.parts = append(parsed.parts, pathPart{name, -1})
		} else if !indexed || i > 0 { // only the input itself has no name
			return KeyPath{}, malformed
		}
		if strings.Contains(name, "]") {
			return KeyPath{}, malformed
		}
		if !indexed {
			continue
		}
		body, closed := strings.CutSuffix(elements, "]")
		if !closed {
			return KeyPath{}, malformed
		}
		for digits := range strings.SplitSeq(body, "][") {
			index, err := strconv.Atoi(digits)
			if err != nil || strconv.Itoa(index) != digits || index < 0 {
				return KeyPath{}, malformed
			}
			parsed.parts = append(parsed.parts, pathPart{"", index})
		}
	}
	return parsed, nil
}

// Of is the key that is in an input: a text, or a number or boolean as it is
// written there. A path that leads nowhere, or to null, a list or an object, is
// the empty key. A key of more than 256 bytes goes by its beginning and a hash.
func (p KeyPath) Of(input []byte) string {
	value := json.RawMessage(input)
	for _, part := range p.parts {
		if value = part.of(value); value == nil {
			return ""
		}
	}
	return asLimitKey(value)
}

func (p pathPart) of(value json.RawMessage) json.RawMessage {
	if p.index < 0 {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		return object[p.name]
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil || p.index >= len(list) {
		return nil
	}
	return list[p.index]
}

func asLimitKey(value json.RawMessage) string {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || value[0] == '{' || value[0] == '[' || string(value) == "null" {
		return ""
	}
	key := string(value)
	if value[0] == '"' && json.Unmarshal(value, &key) != nil {
		return ""
	}
	key = strings.ToValidUTF8(strings.ReplaceAll(key, "\x00", "\uFFFD"), "\uFFFD")
	if len(key) <= maxLimitKey {
		return key
	}
	hash := sha256.Sum256([]byte(key))
	cut := maxLimitKey - len("#") - hex.EncodedLen(len(hash))
	for !utf8.RuneStart(key[cut]) {
		cut--
	}
	return fmt.Sprintf("%s#%x", key[:cut], hash)
}
