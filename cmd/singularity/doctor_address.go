package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"singularity/server"
)

// checkAddress looks whether a node answers at the address, or could.
func checkAddress(ctx context.Context, address string) (string, error) {
	listener, err := server.Listen(ctx, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return checkNeighbour(ctx, address)
	case err != nil:
		return "", fmt.Errorf("--http: %w", err)
	}
	return address + " is free", listener.Close()
}

// checkNeighbour looks at what listens at the address.
func checkNeighbour(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, alive, err := ask(ctx, address, "/livez"); err != nil || alive != "ok" {
		return "", fmt.Errorf("%s is in use, and not by a node; choose another with --http", address)
	}
	status, answer, err := ask(ctx, address, "/readyz")
	switch {
	case err != nil:
		return "", err
	case status != http.StatusOK:
		return "", fmt.Errorf("the node at %s is %s", address, answer)
	default:
		return "a node answers at " + address, nil
	}
}

func ask(ctx context.Context, address, path string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	return response.StatusCode, strings.TrimSpace(string(body)), err
}
