package server_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/internal/testcerts"
	"singularity/server"
	"singularity/server/servertest"
)

// serveTLS serves with the certificate of a folder.
func serveTLS(t *testing.T, dir string) running {
	t.Helper()
	certificate, err := server.LoadCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := server.ListenTLS(t.Context(), "127.0.0.1:0", certificate)
	if err != nil {
		t.Fatal(err)
	}
	r := serveOn(t, listener, server.Handler(&servertest.Engine{}, server.Config{}))
	r.url = strings.Replace(r.url, "http://", "https://", 1)
	return r
}

// seen is what a client of its own sees of a server.
func seen(t *testing.T, served running, config *tls.Config) (*http.Response, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request(t, http.MethodGet, served.url+"/livez", http.NoBody))
	if err == nil {
		_ = response.Body.Close()
	}
	return response, err
}

func TestServeSpeaksTLS(t *testing.T) {
	t.Parallel()
	authority := testcerts.NewAuthority(t)
	served := serveTLS(t, authority.Node(t))
	got, err := seen(t, served, &tls.Config{RootCAs: authority.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusOK || got.ProtoMajor != 2 || got.TLS.Version < tls.VersionTLS12 {
		t.Errorf("got %s, %s, TLS %x; want 200 by HTTP/2 on TLS 1.2 or later", got.Status, got.Proto, got.TLS.Version)
	}
	if _, err := seen(t, served, &tls.Config{RootCAs: authority.Pool(), MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // what is tested
		t.Error("TLS 1.1 is served")
	}
	if _, err := seen(t, served, &tls.Config{RootCAs: testcerts.NewAuthority(t).Pool()}); err == nil {
		t.Error("a client trusts a certificate of another authority")
	}
}

func TestRenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	authority := testcerts.NewAuthority(t)
	dir := authority.Node(t)
	served := serveTLS(t, dir)
	serial := func() int64 {
		t.Helper()
		got, err := seen(t, served, &tls.Config{RootCAs: authority.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		return got.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	first := serial()

	// Half of a renewal: the certificate is there, its key is not yet.
	renewed := authority.Node(t)
	replace(t, dir, renewed, "node.crt")
	if got := serial(); got != first {
		t.Errorf("with half of the files got certificate %d, want the one before, %d", got, first)
	}
	replace(t, dir, renewed, "node.key")
	if got := serial(); got != first+1 {
		t.Errorf("got certificate %d, want the renewed one, %d", got, first+1)
	}
	if err := os.Remove(filepath.Join(dir, "node.key")); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != first+1 {
		t.Errorf("without files got certificate %d, want the one before, %d", got, first+1)
	}
}

// replace renames a file into a folder, with a later time than the one that
// was there.
func replace(t *testing.T, dir, from, name string) {
	t.Helper()
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(from, name), later, later); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateThatIsNoGoodIsRefused(t *testing.T) {
	t.Parallel()
	authority := testcerts.NewAuthority(t)
	tests := []struct {
		name  string
		spoil func(dir string)
		want  string
	}{
		{"no folder", func(dir string) { _ = os.RemoveAll(dir) }, "node.crt"},
		{"no key", func(dir string) { _ = os.Remove(filepath.Join(dir, "node.key")) }, "node.key"},
		{"no certificate in the file", func(dir string) { _ = os.WriteFile(filepath.Join(dir, "node.crt"), []byte("x"), 0o600) }, "node.crt"},
		{"the key of another", func(dir string) { replace(t, dir, authority.Node(t), "node.key") }, "match"},
		{"expired", func(dir string) { authority.Write(t, dir, time.Now().Add(-time.Minute)) }, "expired"},
	}
	for _, test := range tests {
		dir := authority.Node(t)
		test.spoil(dir)
		if _, err := server.LoadCertificate(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
}
