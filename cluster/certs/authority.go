package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// What the files in a folder are called.
const (
	AuthorityCert = "ca.crt"
	AuthorityKey  = "ca.key"
	NodeCert      = "node.crt"
	NodeKey       = "node.key"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// clockSkew is how far behind the clock of a machine may be that gets a
	// certificate right after it was made.
	clockSkew = 5 * time.Minute
)

var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Init makes the authority of a new cluster in a folder: ca.crt, which every
// node gets, and ca.key, which none gets. It never replaces an authority.
func Init(dir, cluster string) error {
	if !clusterName.MatchString(cluster) {
		return fmt.Errorf("cluster name %q: expected 1 to 63 of a-z, 0-9 and -, and no - at either end", cluster)
	}
	for _, name := range []string{AuthorityCert, AuthorityKey} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: another authority would shut out all nodes of this one, so move it away first, or choose another folder",
				filepath.Join(dir, name))
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of the authority: %w", err)
	}
	template, err := newTemplate("Singularity cluster "+cluster, authorityLife)
	if err != nil {
		return err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.URIs = []*url.URL{identityURI(cluster, "ca")}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make the certificate of the authority: %w", err)
	}
	if err := writeKey(filepath.Join(dir, AuthorityKey), key); err != nil {
		return err
	}
	return writeCert(filepath.Join(dir, AuthorityCert), der)
}

func newTemplate(name string, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(life),
	}, nil
}

// identityURI is what a certificate says about its holder: the cluster, and
// what it is there.
func identityURI(cluster, role string) *url.URL {
	return &url.URL{Scheme: "singularity", Host: cluster, Path: "/" + role}
}

// clusterOf reads the cluster in which a certificate gives its holder a role.
func clusterOf(cert *x509.Certificate, role string) (string, error) {
	for _, uri := range cert.URIs {
		if uri.Scheme == "singularity" && uri.Path == "/"+role {
			return uri.Host, nil
		}
	}
	return "", fmt.Errorf("certificate of %q: expected the URI singularity://CLUSTER/%s among its names, found %v",
		cert.Subject.CommonName, role, cert.URIs)
}
