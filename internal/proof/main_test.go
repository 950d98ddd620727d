package proof

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
)

var full = flag.Bool("proof.full", false, "draw five seeds, not two")

// seeds are those of the tables.
func seeds() []uint64 {
	if *full {
		return []uint64{1, 2, 3, 4, 5}
	}
	return []uint64{1, 2}
}

// beHub and beNode make the test binary a process that can be killed, beLoadedHub
// one whose use of the processor is its own.
const (
	beHub       = "SINGULARITY_PROOF_BE_HUB"
	beNode      = "SINGULARITY_PROOF_BE_NODE"
	beLoadedHub = "SINGULARITY_PROOF_BE_LOADED_HUB"
)

func TestMain(m *testing.M) {
	for role, run := range map[string]func(told string) error{beHub: runHub, beNode: runVictim, beLoadedHub: runLoadedHub} {
		if told, found := os.LookupEnv(role); found {
			go endWithParent()
			fmt.Fprintln(os.Stderr, run(told))
			os.Exit(1)
		}
	}
	testpostgres.Main(m, postgres.MigrateUp)
}

// endWithParent ends this process when the one that started it is gone, however
// that went.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}
