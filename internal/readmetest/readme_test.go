//go:build unix

package readmetest

import (
	"flag"
	"os"
	"testing"
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
	Run(t, "../..", append(os.Environ(), following+"=1"))
}
