package server

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of a certificate's directory.
const (
	certificateFile = "node.crt"
	keyFile         = "node.key"
)

// Certificate is by what a server shows who it is. A renewed one is used as
// soon as its files are there; until they are whole, the one before is.
type Certificate struct {
	certificate, key string // files
	mu               sync.Mutex
	current          *tls.Certificate
	read             [2]time.Time // when the files had been changed last
}

// LoadCertificate reads node.crt and node.key of a directory.
func LoadCertificate(dir string) (*Certificate, error) {
	c := &Certificate{certificate: filepath.Join(dir, certificateFile), key: filepath.Join(dir, keyFile)}
	changed, err := c.changed()
	if err != nil {
		return nil, err
	}
	if err := c.load(changed); err != nil {
		return nil, err
	}
	return c, nil
}

// Expires says until when the certificate is good.
func (c *Certificate) Expires() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

// config is TLS with the certificate.
func (c *Certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.latest(), nil },
	}
}

// latest returns the certificate, read anew if its files have changed.
func (c *Certificate) latest() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changed, err := c.changed(); err == nil && changed != c.read {
		_ = c.load(changed) // or try again at the next call
	}
	return c.current
}

func (c *Certificate) changed() (at [2]time.Time, err error) {
	for i, file := range []string{c.certificate, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return at, err
		}
		at[i] = info.ModTime()
	}
	return at, nil
}

func (c *Certificate) load(changed [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.certificate, c.key)
	if err != nil {
		return fmt.Errorf("read %s and %s: %w", c.certificate, c.key, err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("%s expired at %s; put a new one there", c.certificate, pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	c.current, c.read = &pair, changed
	return nil
}
