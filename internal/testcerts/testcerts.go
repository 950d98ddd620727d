// Package testcerts makes certificates for tests of servers that use TLS.
package testcerts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

// life is how long a certificate is good, unless the test says otherwise.
const life = 90 * 24 * time.Hour

// NewAuthority makes an authority of its own.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(2 * life),
	}
	a := &Authority{key: newKey(t)}
	a.certificate = a.sign(t, template, template, a.key)
	return a
}

// Node returns a new folder with the certificate of a node on this machine.
func (a *Authority) Node(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	a.Write(t, dir, time.Now().Add(life))
	return dir
}

// Write puts ca.crt, node.crt and node.key into a folder. The node is good for
// localhost, 127.0.0.1 and [::1] until a time, and has a serial number that is
// one higher than that of the node before.
func (a *Authority) Write(t testing.TB, dir string, until time.Time) {
	t.Helper()
	key := newKey(t)
	node := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "node of a test"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		URIs:        []*url.URL{{Scheme: "singularity", Host: "test", Path: "/node"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, key)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", a.certificate.Raw)
	write(t, filepath.Join(dir, "node.crt"), "CERTIFICATE", node.Raw)
	write(t, filepath.Join(dir, "node.key"), "PRIVATE KEY", encoded)
}

// Pool is what trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a *Authority) sign(t testing.TB, template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	encoded, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, file, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}
