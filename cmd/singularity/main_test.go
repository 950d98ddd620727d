package main

import (
	"os"
	"testing"

	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
)

// beMain makes the test binary behave as the program itself: tests start it as
// a process of its own.
const beMain = "SINGULARITY_TEST_BE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beMain) != "" {
		main()
	}
	testpostgres.Main(m, postgres.MigrateUp)
}
