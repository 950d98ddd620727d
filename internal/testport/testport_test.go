package testport_test

import (
	"net"
	"strconv"
	"testing"

	"singularity/internal/testport"
)

func TestFreePortsAreOneAfterTheOtherAndNobodys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 50 {
		address, err := testport.Free(t.Context(), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(text); err != nil || port >= 32_000 || seen[address] {
			t.Errorf("got %s, want another port below those of connections", address)
		}
		seen[address] = true
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("got %s, want one that is free: %v", address, err)
			continue
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
}

func TestNoPortOfAForeignHostIsFree(t *testing.T) {
	t.Parallel()
	if address, err := testport.Free(t.Context(), "192.0.2.1"); err == nil {
		t.Errorf("got %s, want an error", address)
	}
}
