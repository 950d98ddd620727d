package gossip

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ReadKeyFile reads the keys of a cluster: a line for each in base64, the primary
// first. Empty lines say nothing.
func ReadKeyFile(name string) ([]Key, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	var keys []Key
	lines := bufio.NewScanner(bytes.NewReader(content))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		key, err := ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("key file %s, line %d: %w", name, number, err)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("key file %s: %w", name, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key file %s has no key: expected one a line, in base64", name)
	}
	return keys, nil
}

// WriteKeyFile writes the keys of a cluster, the primary first, for no other
// user to read. The file has either its old content or the new one, whenever the
// process or the machine dies.
func WriteKeyFile(name string, keys []Key) error {
	var content bytes.Buffer
	for _, key := range keys {
		fmt.Fprintln(&content, key.Encode())
	}
	if err := replace(name, content.Bytes()); err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	return nil
}

// replace puts a new file, readable by its owner alone, in the place of another.
func replace(name string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.new") // its mode is 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes a rename in a folder last.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// exposed reports whether users other than its owner can get at a file.
func exposed(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().Perm()&0o077 != 0
}
