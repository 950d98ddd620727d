//go:build !linux

package postgres

import "syscall"

// limitSilence does nothing where the kernel has no such limit; keepalives and
// the time limit of each call remain.
func limitSilence(string, string, syscall.RawConn) error { return nil }
