package server

import (
	"context"
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

// ErrNotLoopback refuses an address that others can reach: the API has neither
// TLS nor tokens.
var ErrNotLoopback = errors.New("not a loopback address")

// Listen opens a TCP port on loopback. Port 0 is any free one.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("listen on %s: %w; without TLS and tokens the API is served on loopback only, such as 127.0.0.1:%d", address, ErrNotLoopback, resolved.Port)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", resolved.String())
}

// Serve answers HTTP/1.1 and unencrypted HTTP/2 with handler, until ctx ends.
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
		// Calls in flight outlive ctx.
		BaseContext: func(net.Listener) context.Context {
			return withClosing(context.WithoutCancel(ctx), streamsEnd)
		},
		// No ReadTimeout and no WriteTimeout: they would cut streams. The
		// handler bounds the reading of requests itself.
	}
	server.Protocols.SetHTTP1(true)
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
