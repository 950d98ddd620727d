package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"
)

// Errors of what is done to the keys of a member.
var (
	// ErrNoKeys is returned where nothing is encrypted.
	ErrNoKeys = errors.New("gossip is not encrypted: start all members with --gossip-key-file")
	// ErrUnknownKey is returned for a key that is to be used and was not added.
	ErrUnknownKey = errors.New("the member does not have that key: add it first, on all members")
	// ErrPrimaryKey is returned for a key that is to be removed and is in use.
	ErrPrimaryKey = errors.New("the member encrypts with that key: use another one first, on all members")
)

// keyring holds the keys of a member: the primary, with which it encrypts, is
// first, and it decrypts with all. A change is written to the key file, if there
// is one, before it is made. Repeating a change changes nothing. It is safe for
// concurrent use.
type keyring struct {
	file string

	mu   sync.Mutex
	ring *memberlist.Keyring // nil when nothing is encrypted
}

// newKeyring takes keys that were validated, perhaps none.
func newKeyring(file string, keys []Key) (*keyring, error) {
	if len(keys) == 0 {
		return &keyring{}, nil
	}
	ring, err := memberlist.NewKeyring(raw(keys), keys[0])
	if err != nil {
		return nil, err
	}
	return &keyring{file: file, ring: ring}, nil
}

func (k *keyring) list() []Key {
	if k.ring == nil {
		return nil
	}
	var keys []Key
	for _, key := range k.ring.GetKeys() {
		keys = append(keys, slices.Clone(key))
	}
	return keys
}

func (k *keyring) add(key Key) error {
	if err := key.validate(); err != nil {
		return err
	}
	return k.change(func(keys []Key) ([]Key, error) {
		if index(keys, key) >= 0 {
			return keys, nil
		}
		return append(keys, key), nil
	}, func(ring *memberlist.Keyring) error { return ring.AddKey(slices.Clone(key)) })
}

func (k *keyring) use(key Key) error {
	return k.change(func(keys []Key) ([]Key, error) {
		i := index(keys, key)
		if i < 0 {
			return nil, fmt.Errorf("use key %s: %w", key, ErrUnknownKey)
		}
		return slices.Concat(keys[i:i+1], keys[:i], keys[i+1:]), nil
	}, func(ring *memberlist.Keyring) error { return ring.UseKey(key) })
}

func (k *keyring) remove(key Key) error {
	return k.change(func(keys []Key) ([]Key, error) {
		switch i := index(keys, key); i {
		case -1:
			return keys, nil
		case 0:
			return nil, fmt.Errorf("remove key %s: %w", key, ErrPrimaryKey)
		default:
			return slices.Delete(keys, i, i+1), nil
		}
	}, func(ring *memberlist.Keyring) error { return ring.RemoveKey(key) })
}

// change computes what the keys are to be, writes that down and then does it.
func (k *keyring) change(next func([]Key) ([]Key, error), do func(*memberlist.Keyring) error) error {
	if k.ring == nil {
		return ErrNoKeys
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, err := next(k.list())
	if err != nil {
		return err
	}
	if k.file != "" {
		if err := WriteKeyFile(k.file, keys); err != nil {
			return err
		}
	}
	return do(k.ring)
}

func index(keys []Key, key Key) int {
	return slices.IndexFunc(keys, func(other Key) bool { return bytes.Equal(other, key) })
}

func raw(keys []Key) [][]byte {
	all := make([][]byte, len(keys))
	for i, key := range keys {
		all[i] = key
	}
	return all
}
