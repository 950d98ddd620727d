package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key for %s: %w", path, err)
	}
	return replace(path, "PRIVATE KEY", der, 0o600)
}

func writeCert(path string, der []byte) error {
	return replace(path, "CERTIFICATE", der, 0o644)
}

// replace puts a file in the place of another one at once, so that a node that
// reads it never sees half of it.
func replace(path, kind string, der []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // only if it did not get its name
	err = errors.Join(
		file.Chmod(mode),
		pem.Encode(file, &pem.Block{Type: kind, Bytes: der}),
		file.Sync(),
		file.Close(),
	)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}

// readPair reads a certificate and its key, which nobody else may read.
func readPair(certPath, keyPath string) (tls.Certificate, error) {
	cert, certErr := read(certPath)
	key, keyErr := readSecret(keyPath)
	if err := errors.Join(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s with %s: %w", certPath, keyPath, err)
	}
	return pair, nil
}

func readSecret(path string) ([]byte, error) {
	const forbidden = 0o027 // others may do nothing with it, its group may read it
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&forbidden != 0 {
		return nil, fmt.Errorf("%s has mode %#o, so others can use the key: chmod 600 it", path, info.Mode().Perm())
	}
	return read(path)
}

func read(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; \"singularity certs init\" makes an authority, \"singularity certs node\" the files of a node", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: user id %d must be able to read it", err, os.Geteuid())
	}
	return content, err
}

func checkTime(path string, cert *x509.Certificate) error {
	const day = "2006-01-02 15:04 MST"
	switch now := time.Now(); {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s expired on %s: make a new one with \"singularity certs\"", path, cert.NotAfter.UTC().Format(day))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s is good from %s on only, and here it is %s: check the clock",
			path, cert.NotBefore.UTC().Format(day), now.UTC().Format(day))
	default:
		return nil
	}
}
