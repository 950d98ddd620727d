package gossip

import (
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

// Keyring holds the keys of a member: the primary, with which it encrypts, is
// first, and it decrypts with all. A change is written to the key file, if there
// is one, before it is made. Repeating a change changes nothing. It is safe for
// concurrent use.
type Keyring struct {
	file string

	mu   sync.Mutex
	ring *memberlist.Keyring // nil when nothing is encrypted
}

// newKeyring takes keys that were validated, perhaps none.
func newKeyring(file string, keys []Key) (*Keyring, error) {
	if len(keys) == 0 {
		return &Keyring{}, nil
	}
	ring, err := memberlist.NewKeyring(raw(keys), keys[0])
	if err != nil {
		return nil, err
	}
	return &Keyring{file: file, ring: ring}, nil
}

// Keys returns the keys, the primary first, and none when nothing is encrypted.
func (k *Keyring) Keys() []Key {
	if k.ring == nil {
		return nil
	}
	var keys []Key
	for _, key := range k.ring.GetKeys() {
		keys = append(keys, slices.Clone(key))
	}
	return keys
}

// Add makes the member understand a key. It encrypts with its primary as before.
func (k *Keyring) Add(key Key) error {
	if err := key.validate(); err != nil {
		return err
	}
	return k.change(func(keys []Key) ([]Key, error) {
		if index(keys, key.String()) >= 0 {
			return keys, nil
		}
		return append(keys, slices.Clone(key)), nil
	})
}

// Use makes the key with a fingerprint the primary. All members must have it by
// then: one that does not is dead to this one.
func (k *Keyring) Use(fingerprint string) error {
	return k.change(func(keys []Key) ([]Key, error) {
		i := index(keys, fingerprint)
		if i < 0 {
			return nil, fmt.Errorf("use key %s: %w", fingerprint, ErrUnknownKey)
		}
		return slices.Concat(keys[i:i+1], keys[:i], keys[i+1:]), nil
	})
}

// Remove makes the member forget the key with a fingerprint, as [ErrPrimaryKey]
// says not the primary.
func (k *Keyring) Remove(fingerprint string) error {
	return k.change(func(keys []Key) ([]Key, error) {
		switch i := index(keys, fingerprint); i {
		case -1:
			return keys, nil
		case 0:
			return nil, fmt.Errorf("remove key %s: %w", fingerprint, ErrPrimaryKey)
		default:
			return slices.Delete(keys, i, i+1), nil
		}
	})
}

// change computes what the keys are to be, writes that down and then does it.
func (k *Keyring) change(next func([]Key) ([]Key, error)) error {
	if k.ring == nil {
		return ErrNoKeys
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.Keys()
	after, err := next(slices.Clone(before))
	if err != nil {
		return err
	}
	if k.file != "" {
		if err := WriteKeyFile(k.file, after); err != nil {
			return err
		}
	}
	return k.install(before, after)
}

// install replaces the keys of the ring by others.
func (k *Keyring) install(before, after []Key) error {
	var errs []error
	for _, key := range after {
		errs = append(errs, k.ring.AddKey(key)) // which leaves those alone that are there
	}
	errs = append(errs, k.ring.UseKey(after[0]))
	for _, key := range before {
		if index(after, key.String()) < 0 {
			errs = append(errs, k.ring.RemoveKey(key))
		}
	}
	return errors.Join(errs...)
}

func index(keys []Key, fingerprint string) int {
	return slices.IndexFunc(keys, func(key Key) bool { return key.String() == fingerprint })
}

func raw(keys []Key) [][]byte {
	all := make([][]byte, len(keys))
	for i, key := range keys {
		all[i] = key
	}
	return all
}
