//go:build unix

package testpostgres

import (
	"fmt"
	"path/filepath"
	"time"
)

// fakeTimeLibraries is where Debian and its like have the library that shows a
// program another time.
const fakeTimeLibraries = "/usr/lib/*/faketime/libfaketime.so.1"

func findFakeTime(pattern string) (string, error) {
	libraries, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(libraries) == 0 {
		return "", missing("libfaketime", pattern)
	}
	return libraries[0], nil
}

// fakeTime is the environment of a program whose clock is ahead. How much time
// passes, for which the program asks another clock, stays as it is.
func fakeTime(library string, ahead time.Duration) []string {
	return []string{
		"LD_PRELOAD=" + library,
		fmt.Sprintf("FAKETIME=%+.0f", ahead.Seconds()),
		"FAKETIME_DONT_FAKE_MONOTONIC=1",
		"NO_FAKE_STAT=1",
	}
}
