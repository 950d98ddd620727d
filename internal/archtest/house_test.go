package archtest_test

import (
	"os"
	"testing"

	"singularity/internal/archtest"
)

// The plan for this module. Which package may import which stands in
// ARCHITECTURE.md.
func TestHouseKeepsToItsPlan(t *testing.T) {
	t.Parallel()
	house, err := archtest.Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := archtest.ParsePlan(string(document))
	if err != nil {
		t.Fatalf("ARCHITECTURE.md: %v", err)
	}
	for _, name := range house.Missing(plan) {
		t.Errorf("ARCHITECTURE.md: an arrow names %s, and there is no such package", name)
	}
	for _, finding := range house.Check(
		plan.Check,
		archtest.Documented,
		// internal/testpostgres is part of test programs, and what the tag
		// faulttest adds is part of the one that internal/soak builds.
		archtest.Without("faulttest", archtest.OnlyPrograms("cmd/...", "examples/...", "internal/testpostgres", "internal/soak/node")),
		archtest.OnlyStandardLibrary("workflow/..."),
		// Runs are actors on any store behind any API.
		archtest.Never("actors/...", "net/http/...", "connectrpc.com/...",
			"database/sql/...", "modernc.org/sqlite/...", "github.com/jackc/pgx/...", "github.com/pressly/goose/..."),
		// Who is late, and what is due, is decided by the clock that all nodes share.
		archtest.OneClock(house.StoredTimes("workflow", "persistence"), "persistence/..."),
		// Protoactor gives us actors and their transport; who owns what is ours to decide.
		archtest.Never("...", "github.com/asynkron/protoactor-go/cluster/...", "github.com/asynkron/protoactor-go/persistence/..."),
	) {
		t.Error(finding)
	}
}
