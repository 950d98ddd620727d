package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// shutdownGrace is for the calls that are being answered at the end.
	shutdownGrace = 5 * time.Second
)

// maxStreams is how many calls may be under way on one HTTP/2 connection.
const maxStreams = 250

// http2Limits bounds what one connection may ask for, and finds those whose client is
// gone.
var http2Limits = &http.HTTP2Config{
	MaxConcurrentStreams: maxStreams,
	SendPingTimeout:      30 * time.Second,
	PingTimeout:          15 * time.Second,
	WriteByteTimeout:     writeTimeout,
}

// ErrNotLoopback refuses an address that others can reach: what is said there
// could be read and changed on the way.
var ErrNotLoopback = errors.New("not a loopback address")

// Listen opens a TCP port on loopback. Port 0 is any free one.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("listen on %s: %w; without TLS the API is served on loopback only, such as 127.0.0.1:%d", address, ErrNotLoopback, resolved.Port)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", resolved.String())
}

// ListenTLS opens a TCP port, of any address of this machine, for TLS. Unless
// the listener is [OnLoopback], the handler needs [Config.Tokens].
func ListenTLS(ctx context.Context, address string, certificate *Certificate) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(listener, certificate.config()), nil
}

// OnLoopback reports whether only this machine can reach a listener.
func OnLoopback(listener net.Listener) bool {
	address, ok := listener.Addr().(*net.TCPAddr)
	return ok && address.IP.IsLoopback()
}

// Serve answers HTTP/1.1 and HTTP/2 with handler, until ctx ends.
// Then it ends the streams, lets the calls in flight finish for 5s, cuts off
// what is left, and returns. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	streamsEnd := make(chan struct{})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		Protocols:         new(http.Protocols),
		HTTP2:             http2Limits,
		// Calls in flight outlive ctx.
		BaseContext: func(net.Listener) context.Context {
			return withClosing(context.WithoutCancel(ctx), streamsEnd)
		},
		// No ReadTimeout and no WriteTimeout: they would cut streams. The
		// handler bounds the reading of requests and each write itself.
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	var unused unusedConns
	server.ConnState = unused.note
	server.RegisterOnShutdown(unused.close)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	close(streamsEnd)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("calls were cut off after %s: %w", shutdownGrace, err), server.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
