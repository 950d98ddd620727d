package main

import (
	"os"
	"testing"
)

// beMain makes the test binary behave as the program itself: tests start it as
// a process of its own.
const beMain = "SINGULARITY_TEST_BE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beMain) != "" {
		main()
	}
	os.Exit(m.Run())
}
