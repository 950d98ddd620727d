package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const nodeLife = 365 * 24 * time.Hour

var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Node makes the certificate of a node in the folder dir, with the authority in
// the folder authority: node.crt and node.key, and a copy of ca.crt beside them.
// It is good for a year, and for the host names and IP addresses under which
// other nodes reach the node. What is in dir is replaced: that is how a
// certificate is renewed.
func Node(authority, dir string, hosts ...string) error {
	issuer, err := loadAuthority(authority)
	if err != nil {
		return err
	}
	cluster, err := clusterOf(issuer.Leaf, "ca")
	if err != nil {
		return err
	}
	template, err := nodeTemplate(cluster, hosts)
	if err != nil {
		return err
	}
	if template.NotAfter.After(issuer.Leaf.NotAfter) {
		template.NotAfter = issuer.Leaf.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of the node: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Leaf, key.Public(), issuer.PrivateKey)
	if err != nil {
		return fmt.Errorf("make the certificate of the node: %w", err)
	}
	return errors.Join(
		writeCert(filepath.Join(dir, AuthorityCert), issuer.Leaf.Raw),
		writeKey(filepath.Join(dir, NodeKey), key),
		writeCert(filepath.Join(dir, NodeCert), der),
	)
}

func loadAuthority(dir string) (tls.Certificate, error) {
	issuer, err := readPair(filepath.Join(dir, AuthorityCert), filepath.Join(dir, AuthorityKey))
	if err != nil {
		return tls.Certificate{}, err
	}
	return issuer, checkTime(filepath.Join(dir, AuthorityCert), issuer.Leaf)
}

func nodeTemplate(cluster string, hosts []string) (*x509.Certificate, error) {
	if len(hosts) == 0 {
		return nil, errors.New("no host: name the addresses under which other nodes reach this one, such as 10.0.0.5 or node-1.internal")
	}
	template, err := newTemplate(hosts[0], nodeLife)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.URIs = []*url.URL{identityURI(cluster, "node")}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		if !hostName.MatchString(strings.ToLower(host)) {
			return nil, fmt.Errorf("host %q: expected a name or an IP address, without a port", host)
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return template, nil
}
