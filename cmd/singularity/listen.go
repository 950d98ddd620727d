package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"singularity/server"
)

// httpFlags say where the API is served.
type httpFlags struct {
	address string
	asked   bool // the user chose the address
	tlsDir  string
}

func (f *httpFlags) register(set *pflag.FlagSet, address string) {
	set.StringVar(&f.address, "http", address, "where to listen; port 0 is any free one; beyond loopback it takes --tls-dir, and clients need tokens")
	set.StringVar(&f.tlsDir, "tls-dir", "", "the folder of node.crt and node.key, to serve HTTPS, and ca.crt, for the messages between nodes")
}

// endpoint is where the API is served.
type endpoint struct {
	net.Listener
	url      string
	caFile   string // that clients need; empty when they do not, or it is not known
	public   bool   // others than this machine can reach it
	replaced bool   // it is not the default port, which is in use
}

// listen opens the port of the API. A default port that is in use is replaced
// by a free one; one that the user asked for is not.
func (f *httpFlags) listen(ctx context.Context) (*endpoint, error) {
	open, scheme, err := f.opener()
	if err != nil {
		return nil, err
	}
	listener, err := open(ctx, f.address)
	replaced := false
	if !f.asked && errors.Is(err, syscall.EADDRINUSE) {
		listener, err = open(ctx, "127.0.0.1:0")
		replaced = err == nil
	}
	switch {
	case errors.Is(err, server.ErrNotLoopback):
		return nil, fmt.Errorf("--http: %w, or give --tls-dir a folder with node.crt and node.key", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--http: %w; choose another port, or 0 for any free one", err)
	case err != nil:
		return nil, fmt.Errorf("--http: %w", err)
	}
	return &endpoint{
		Listener: listener,
		url:      scheme + "://" + reachable(listener.Addr()),
		caFile:   f.caFile(),
		public:   !server.OnLoopback(listener),
		replaced: replaced,
	}, nil
}

// opener returns what opens a port, with TLS or without.
func (f *httpFlags) opener() (open func(context.Context, string) (net.Listener, error), scheme string, err error) {
	if f.tlsDir == "" {
		return server.Listen, "http", nil
	}
	certificate, err := server.LoadCertificate(f.tlsDir)
	if err != nil {
		return nil, "", fmt.Errorf("--tls-dir: %w", err)
	}
	return func(ctx context.Context, address string) (net.Listener, error) {
		return server.ListenTLS(ctx, address, certificate)
	}, "https", nil
}

// caFile is the certificate of the authority that signed the node's own, if it
// lies beside it.
func (f *httpFlags) caFile() string {
	file := filepath.Join(f.tlsDir, "ca.crt")
	if _, err := os.Stat(file); f.tlsDir == "" || err != nil {
		return ""
	}
	return file
}

// reachable names an address for clients: by the name of this machine, when it
// is served at all its addresses.
func reachable(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return address.String()
	}
	name, err := os.Hostname()
	if err != nil {
		return address.String()
	}
	return net.JoinHostPort(name, fmt.Sprint(tcp.Port))
}
