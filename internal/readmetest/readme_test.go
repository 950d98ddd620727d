//go:build unix

package readmetest

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
)

var update = flag.Bool("update", false, "copy the snippets of README.md anew")

// following is in the environment of the README's commands.
const following = "README_IS_BEING_FOLLOWED"

func TestReadmeIsTrue(t *testing.T) {
	t.Parallel()
	if os.Getenv(following) != "" {
		t.Fatal("README.md runs its own test: put <!-- not run: reason --> above that block")
	}
	if *update {
		document, err := os.ReadFile("../../README.md")
		if err != nil {
			t.Fatal(err)
		}
		updated, err := updateSnippets(os.DirFS("../.."), string(document))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("../../README.md", []byte(updated), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	server, err := pgx.ParseConfig(testpostgres.Start(t, testpostgres.Config{}).URL(testpostgres.Database))
	if err != nil {
		t.Fatal(err)
	}
	Run(t, "../..", append(os.Environ(), following+"=1"),
		"PGHOST="+server.Host, "PGPORT="+strconv.Itoa(int(server.Port)), "PGUSER="+server.User)
}
