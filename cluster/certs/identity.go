package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// Identity is the certificate of a node with the authority it trusts, as they
// are on the disk. It may be used by any number of goroutines.
type Identity struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex
	current material
	seen    stamp // of the files that were read last, good or bad
}

// material is what the files of a node hold.
type material struct {
	pair        tls.Certificate
	authorities *x509.CertPool
	cluster     string
}

// Load reads the files of a node. When they change later, connections that are
// made from then on use the new ones, unless these are no good: then the old
// ones stay in use and log says why.
func Load(dir string, log *slog.Logger) (*Identity, error) {
	seen := stampOf(dir)
	current, err := loadMaterial(dir)
	if err != nil {
		return nil, fmt.Errorf("certificates in %s: %w", dir, err)
	}
	return &Identity{dir: dir, log: log, current: current, seen: seen}, nil
}

func loadMaterial(dir string) (material, error) {
	certPath, authorityPath := filepath.Join(dir, NodeCert), filepath.Join(dir, AuthorityCert)
	pair, err := readPair(certPath, filepath.Join(dir, NodeKey))
	if err != nil {
		return material{}, err
	}
	if err := checkTime(certPath, pair.Leaf); err != nil {
		return material{}, err
	}
	cluster, err := clusterOf(pair.Leaf, "node")
	if err != nil {
		return material{}, fmt.Errorf("%s: %w", certPath, err)
	}
	pem, err := read(authorityPath)
	if err != nil {
		return material{}, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return material{}, fmt.Errorf("%s holds no certificate in PEM", authorityPath)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options := x509.VerifyOptions{Roots: authorities, Intermediates: intermediates(pair), KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := pair.Leaf.Verify(options); err != nil {
			return material{}, fmt.Errorf("%s is not good under %s: %w", certPath, authorityPath, err)
		}
	}
	return material{pair, authorities, cluster}, nil
}

func intermediates(pair tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			pool.AddCert(cert)
		}
	}
	return pool
}

// Cluster is the name of the cluster that the node belongs to.
func (i *Identity) Cluster() string { return i.latest().cluster }

// Expires says until when the certificate of the node is good.
func (i *Identity) Expires() time.Time { return i.latest().pair.Leaf.NotAfter }

// CheckHost returns an error if the certificate is not for a host name or an IP
// address under which others reach the node.
func (i *Identity) CheckHost(host string) error { return i.latest().pair.Leaf.VerifyHostname(host) }

// Server is how to serve other nodes of the cluster, and nobody else, from now
// on.
func (i *Identity) Server() *tls.Config {
	latest := i.latest()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{latest.pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    latest.authorities,
	}
}

// Client is how to connect to other nodes of the cluster, from now on.
func (i *Identity) Client() *tls.Config {
	latest := i.latest()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{latest.pair},
		RootCAs:      latest.authorities,
	}
}

// Authorise returns the name of the holder of a certificate, which was verified,
// if it is a node of the same cluster.
func (i *Identity) Authorise(cert *x509.Certificate) (name string, err error) {
	theirs, err := clusterOf(cert, "node")
	if err != nil {
		return "", err
	}
	if ours := i.Cluster(); theirs != ours {
		return "", fmt.Errorf("certificate of %q is for the cluster %q, this one is %q", cert.Subject.CommonName, theirs, ours)
	}
	return cert.Subject.CommonName, nil
}

// latest reads the files again if they have changed.
func (i *Identity) latest() material {
	i.mu.Lock()
	defer i.mu.Unlock()
	seen := stampOf(i.dir)
	if seen == i.seen {
		return i.current
	}
	i.seen = seen
	latest, err := loadMaterial(i.dir)
	if err != nil {
		i.log.Error("new certificates are no good, the old ones stay in use", "folder", i.dir, "error", err)
		return i.current
	}
	i.current = latest
	i.log.Info("new certificates are in use", "folder", i.dir, "until", latest.pair.Leaf.NotAfter)
	return latest
}
