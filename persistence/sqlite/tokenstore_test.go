package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/sqlite"
)

func openTokens(t *testing.T, dir string) *sqlite.TokenStore {
	t.Helper()
	store, err := sqlite.OpenTokens(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return store
}

func TestTokensAreMadeBesideTheProcessThatHasTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spawn(t, "hold", dir)
	store := openTokens(t, dir)
	if err := store.CreateToken(t.Context(), persistence.Token{ID: "A1", Scope: persistence.ScopeRun, CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.RevokeToken(t.Context(), "A1"); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Tokens(t.Context()); err != nil || len(got) != 1 || got[0].RevokedAt == nil {
		t.Errorf("got %+v, %v; want the revoked token", got, err)
	}
}

func TestStoreGoesOnWhileTokensAreMadeBesideIt(t *testing.T) {
	t.Parallel()
	store := openIn(t, t.TempDir())
	beside := openTokens(t, store.dir)
	var writers sync.WaitGroup
	for side, tokens := range map[string]persistence.Tokens{"in": store, "beside": beside} {
		writers.Go(func() {
			for i := range 25 {
				token := persistence.Token{ID: fmt.Sprint(side, i), Scope: persistence.ScopeRead, CreatedAt: time.Now()}
				if err := tokens.CreateToken(t.Context(), token); err != nil {
					t.Errorf("%s: %v", token.ID, err)
				}
			}
		})
	}
	writers.Wait()
	for _, tokens := range []persistence.Tokens{store, beside} {
		if got, err := tokens.Tokens(t.Context()); err != nil || len(got) != 50 {
			t.Errorf("got %d tokens, %v; want 50", len(got), err)
		}
	}
}

func TestOpenTokensMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	if store, err := sqlite.OpenTokens(t.Context(), dir); err == nil {
		_ = store.Close()
		t.Error("a directory without a database was opened")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there (%v), want none", err)
	}
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "singularity.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if store, err := sqlite.OpenTokens(t.Context(), empty); err == nil {
		_ = store.Close()
		t.Error("a database without tokens was opened")
	}
}
