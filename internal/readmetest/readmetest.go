//go:build unix

package readmetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Run follows the README.md of a checkout, one subtest a block. The settings
// are added to what is left of the environment.
func Run(t *testing.T, checkout string, environment []string, settings ...string) {
	document, err := os.ReadFile(filepath.Join(checkout, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parse(string(document))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	fresh := t.TempDir()
	if err := copyCheckout(fresh, checkout); err != nil {
		t.Fatal(err)
	}
	reader, err := newReader(fresh, t.TempDir(), environment, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.leave(); err != nil {
			t.Error(err)
		}
	})
	for _, b := range blocks {
		passed := t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			if reason, skip := skips(b); skip {
				t.Skip(reason)
			}
			if err := reader.follow(t.Context(), b); err != nil {
				t.Fatalf("README.md:%d: %v", b.line, err)
			}
		})
		if !passed {
			return
		}
	}
}
