package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"singularity/cluster/certs"
)

// cluster makes an authority and returns its folder.
func cluster(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := certs.Init(dir, name); err != nil {
		t.Fatal(err)
	}
	return dir
}

// node makes the certificate of a node and returns its folder.
func node(t *testing.T, authority string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node")
	if err := certs.Node(authority, dir, "127.0.0.1", "node-1.internal"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, dir string) *certs.Identity {
	t.Helper()
	identity, err := certs.Load(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// meet makes a client and a server shake hands, and exchange a byte.
func meet(t *testing.T, server, client *tls.Config, name string) (seen *x509.Certificate, atClient, atServer error) {
	t.Helper()
	left, right := net.Pipe()
	client.ServerName = name
	s, c := tls.Server(left, server), tls.Client(right, client)
	served := make(chan error, 1)
	go func() {
		defer left.Close()
		err := s.HandshakeContext(t.Context())
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		served <- err
	}()
	atClient = c.HandshakeContext(t.Context())
	if atClient == nil {
		_, atClient = io.ReadFull(c, make([]byte, 1))
	}
	right.Close()
	atServer = <-served
	if atServer == nil {
		seen = s.ConnectionState().PeerCertificates[0]
	}
	return seen, atClient, atServer
}

func TestNodesOfAClusterAcceptEachOther(t *testing.T) {
	t.Parallel()
	authority := cluster(t, "prod")
	a, b := load(t, node(t, authority)), load(t, node(t, authority))
	for _, name := range []string{"127.0.0.1", "node-1.internal"} {
		seen, atClient, atServer := meet(t, a.Server(), b.Client(), name)
		if err := errors.Join(atClient, atServer); err != nil {
			t.Fatalf("as %s: %v", name, err)
		}
		if who, err := a.Authorise(seen); err != nil || who != "127.0.0.1" {
			t.Errorf("authorised as %q, %v", who, err)
		}
	}
	if a.Cluster() != "prod" {
		t.Errorf("cluster %q", a.Cluster())
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	ours := load(t, node(t, cluster(t, "prod")))
	foreign := load(t, node(t, cluster(t, "prod")))
	nobody := ours.Client()
	nobody.Certificates = nil
	old := ours.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	gullible := foreign.Client()
	gullible.InsecureSkipVerify = true
	for what, c := range map[string]struct {
		client *tls.Config
		name   string
		atWhom string
	}{
		"no certificate":      {nobody, "127.0.0.1", "server"},
		"a foreign client":    {gullible, "127.0.0.1", "server"},
		"TLS 1.2":             {old, "127.0.0.1", "server"},
		"a foreign server":    {foreign.Client(), "127.0.0.1", "client"},
		"an address of other": {ours.Client(), "10.0.0.1", "client"},
	} {
		_, atClient, atServer := meet(t, ours.Server(), c.client, c.name)
		if atServer == nil && c.atWhom == "server" || atClient == nil {
			t.Errorf("%s was let in: %v at the client, %v at the server", what, atClient, atServer)
		}
	}
}

func TestCertificateForAnotherClusterIsNotAuthorised(t *testing.T) {
	t.Parallel()
	ours := load(t, node(t, cluster(t, "prod")))
	for what, uris := range map[string][]*url.URL{
		"another cluster": {{Scheme: "singularity", Host: "test", Path: "/node"}},
		"an authority":    {{Scheme: "singularity", Host: "prod", Path: "/ca"}},
		"another scheme":  {{Scheme: "https", Host: "prod", Path: "/node"}},
		"nothing":         nil,
	} {
		if who, err := ours.Authorise(&x509.Certificate{URIs: uris}); err == nil {
			t.Errorf("the certificate of %s is authorised as %q", what, who)
		}
	}
}

func TestRenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	authority := cluster(t, "prod")
	dir := node(t, authority)
	var log bytes.Buffer
	identity, err := certs.Load(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := identity.Server().Certificates[0]
	if !bytes.Equal(first.Certificate[0], identity.Client().Certificates[0].Certificate[0]) {
		t.Error("server and client use different certificates")
	}
	if err := certs.Node(authority, dir, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	second := identity.Server().Certificates[0]
	if bytes.Equal(first.Certificate[0], second.Certificate[0]) || !strings.Contains(log.String(), "new certificates are in use") {
		t.Errorf("the first certificate is still in use; log: %s", &log)
	}

	write(t, filepath.Join(dir, certs.NodeCert), "nonsense", 0o600)
	for range 2 {
		if third := identity.Client().Certificates[0]; !bytes.Equal(second.Certificate[0], third.Certificate[0]) {
			t.Error("the good certificate is not in use any more")
		}
	}
	if n := strings.Count(log.String(), "no good"); n != 1 {
		t.Errorf("%d complaints, expected 1:\n%s", n, &log)
	}
}

func TestFilesSayWhatIsWrongWithThem(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		spoil    func(t *testing.T, dir string)
		expected string
	}{
		"no key":        {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, certs.NodeKey)) }, `"singularity certs node"`},
		"no authority":  {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, certs.AuthorityCert)) }, "ca.crt: no such file"},
		"an open key":   {func(t *testing.T, dir string) { mode(t, filepath.Join(dir, certs.NodeKey), 0o644) }, "chmod 600"},
		"a bad key":     {func(t *testing.T, dir string) { write(t, filepath.Join(dir, certs.NodeKey), "x", 0o600) }, "node.key"},
		"a bad ca":      {func(t *testing.T, dir string) { write(t, filepath.Join(dir, certs.AuthorityCert), "x", 0o600) }, "no certificate in PEM"},
		"another's key": {func(t *testing.T, dir string) { replace(t, dir, node(t, cluster(t, "prod")), certs.NodeKey) }, "private key does not match"},
		"another's ca":  {func(t *testing.T, dir string) { replace(t, dir, cluster(t, "prod"), certs.AuthorityCert) }, "not good under"},
		"the ca's itself": {func(t *testing.T, dir string) {
			ca := cluster(t, "prod")
			replace(t, dir, ca, certs.AuthorityCert)
			copyFile(t, filepath.Join(ca, certs.AuthorityCert), filepath.Join(dir, certs.NodeCert))
			copyFile(t, filepath.Join(ca, certs.AuthorityKey), filepath.Join(dir, certs.NodeKey))
		}, "singularity://CLUSTER/node"},
	} {
		dir := node(t, cluster(t, "prod"))
		c.spoil(t, dir)
		if _, err := certs.Load(dir, slog.Default()); err == nil || !strings.Contains(err.Error(), c.expected) {
			t.Errorf("%s: error %v, expected %q", what, err, c.expected)
		}
	}
}

func TestAuthorityIsNeverReplaced(t *testing.T) {
	t.Parallel()
	dir := cluster(t, "prod")
	if info, err := os.Stat(filepath.Join(dir, certs.AuthorityKey)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v of the key, %v", info.Mode(), err)
	}
	if err := certs.Init(dir, "prod"); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("error %v", err)
	}
	for _, name := range []string{"", "Prod", "-x", "a b", strings.Repeat("x", 64)} {
		if err := certs.Init(t.TempDir(), name); err == nil || !strings.Contains(err.Error(), "cluster name") {
			t.Errorf("error %v of the name %q", err, name)
		}
	}
}

func TestNodeNeedsHostsAndAnAuthority(t *testing.T) {
	t.Parallel()
	authority := cluster(t, "prod")
	for _, hosts := range [][]string{nil, {""}, {"host:7947"}, {"https://host"}, {"10.0.0.1", "a b"}} {
		if err := certs.Node(authority, t.TempDir(), hosts...); err == nil || !strings.Contains(err.Error(), "host") {
			t.Errorf("error %v of the hosts %q", err, hosts)
		}
	}
	if err := certs.Node(t.TempDir(), t.TempDir(), "host"); err == nil || !strings.Contains(err.Error(), `"singularity certs init"`) {
		t.Errorf("error %v without an authority", err)
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func mode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// replace takes a file of one folder into another.
func replace(t *testing.T, dir, from, name string) {
	t.Helper()
	copyFile(t, filepath.Join(from, name), filepath.Join(dir, name))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(content), 0o600)
}
