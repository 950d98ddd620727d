package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"singularity/server"
)

// checkAddress looks whether a node answers at the address, or could. With a
// certificate, which is looked at by itself, it may be any address.
func checkAddress(ctx context.Context, flags httpFlags) (string, error) {
	listen := server.Listen
	if flags.tlsDir != "" {
		listen = func(ctx context.Context, address string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", address)
		}
	}
	listener, err := listen(ctx, flags.address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return checkNeighbour(ctx, flags)
	case errors.Is(err, server.ErrNotLoopback):
		return "", fmt.Errorf("--http: %w, or give --tls-dir", err)
	case err != nil:
		return "", fmt.Errorf("--http: %w", err)
	}
	return flags.address + " is free", listener.Close()
}

// checkNeighbour looks at what listens at the address.
func checkNeighbour(ctx context.Context, flags httpFlags) (string, error) {
	address := flags.address
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, alive, err := ask(ctx, flags, "/livez"); err != nil || alive != "ok" {
		return "", fmt.Errorf("%s is in use, and not by a node; choose another with --http", address)
	}
	status, answer, err := ask(ctx, flags, "/readyz")
	switch {
	case err != nil:
		return "", err
	case status != http.StatusOK:
		return "", fmt.Errorf("the node at %s is %s", address, answer)
	default:
		return "a node answers at " + address, nil
	}
}

func ask(ctx context.Context, flags httpFlags, path string) (status int, answer string, err error) {
	scheme := "http"
	if flags.tlsDir != "" {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+flags.address+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := neighbour.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

// neighbour asks whether something lives, not who it is: the address need not
// be a name that its certificate has.
var neighbour = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
