package postgres

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitSilence makes the kernel give a connection up whose peer does not
// acknowledge: keepalives do not count while data is on its way.
func limitSilence(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// Sockets that are not TCP refuse it, and need it not.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadLink.Milliseconds()))
	})
}
