// Package testport finds ports for servers that tests start, and start again.
package testport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
)

// The ports are below those that a kernel gives to connections, and to servers
// that ask for any: one of them would otherwise have the port before its server
// has it, or while that is away.
const (
	first = 10_000
	last  = 32_000
)

// tries is how many ports may be taken, one after the other.
const tries = 1000

var next atomic.Uint32

func init() { next.Store(rand.Uint32N(last - first)) } // other processes begin elsewhere

// Free returns an address of a host of this machine at which nobody listens, by
// TCP nor by UDP, and which this process got for the last time thousands of ports
// ago.
func Free(ctx context.Context, host string) (string, error) {
	for range tries {
		port := first + int(next.Add(1)%(last-first))
		address := net.JoinHostPort(host, strconv.Itoa(port))
		switch err := take(ctx, address); {
		case err == nil:
			return address, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", fmt.Errorf("find a free port of %s: %w", host, err)
		}
	}
	return "", fmt.Errorf("find a free port of %s: %d are in use", host, tries)
}

// take takes an address and gives it back.
func take(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	packets, err := config.ListenPacket(ctx, "udp", address)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return errors.Join(packets.Close(), listener.Close())
}
