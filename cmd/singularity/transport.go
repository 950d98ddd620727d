package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// transport carries calls to a node, with the token if there is one.
func (c *cli) transport() (http.RoundTripper, error) {
	transport := http.DefaultTransport
	if c.caFile != "" {
		trusted, err := authorities(c.caFile)
		if err != nil {
			return nil, usagef("--ca-file: %w", err)
		}
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
		transport = own
	}
	if c.token != "" {
		transport = bearer{c.token, transport}
	}
	return transport, nil
}

// authorities are those whose certificates a file holds.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate; expected one in PEM", file)
	}
	return pool, nil
}

// bearer shows a token with each request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(request)
}

// local reports whether a host is this machine, so that nothing between can
// read what is sent to it.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// untrusted reports that a node was not believed to be itself.
func untrusted(err error) bool {
	_, refused := errors.AsType[*tls.CertificateVerificationError](err)
	return refused
}

// distrust says why a node was not believed to be itself, and what to do.
func distrust(err error) (message, advice string) {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
	)
	switch {
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that is not known here",
			"give --ca-file, or SINGULARITY_CA_FILE, the authority's certificate, such as the ca.crt in the node's --tls-dir"
	case errors.As(err, &name):
		return name.Error(), "set --address to a name that its certificate has"
	default:
		refused, _ := errors.AsType[*tls.CertificateVerificationError](err)
		return refused.Err.Error(), "the node needs another certificate"
	}
}
