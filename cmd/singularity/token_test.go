package main

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence/sqlite"
)

// tokenDatabases are the places where tokens are kept, as variables that say
// where.
func tokenDatabases(t *testing.T) map[string]map[string]string {
	t.Helper()
	return map[string]map[string]string{
		"SQLite":   {"SINGULARITY_DATA_DIR": newDatabase(t)},
		"Postgres": {"DATABASE_URL": testpostgres.URL(t)},
	}
}

// newDatabase is a folder in which a node has been.
func newDatabase(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	store, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// createToken makes a token and returns it with its id.
func createToken(t *testing.T, env map[string]string, args ...string) (text, id string) {
	t.Helper()
	got := call{args: append([]string{"token", "create", "-o", "json"}, args...), env: env}.run(t.Context())
	var made token
	if err := json.Unmarshal([]byte(got.stdout), &made); err != nil || got.code != exitDone || made.Token == "" {
		t.Fatalf("token create: got %+v (%v)", got, err)
	}
	return made.Token, made.ID
}

func revokeToken(ctx context.Context, t *testing.T, env map[string]string, id string) {
	t.Helper()
	if got := (call{args: []string{"token", "revoke", id}, env: env}).run(ctx); got.code != exitDone {
		t.Fatalf("token revoke: got %+v", got)
	}
}

func TestTokensAreMadeListedAndRevoked(t *testing.T) {
	t.Parallel()
	for name, env := range tokenDatabases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := func() map[string]token {
				t.Helper()
				got := call{args: []string{"token", "list", "-o", "json"}, env: env}.run(t.Context())
				var listed []token
				if err := json.Unmarshal([]byte(got.stdout), &listed); err != nil || got.code != exitDone || got.stderr != "" {
					t.Fatalf("token list: got %+v (%v)", got, err)
				}
				byName := map[string]token{}
				for _, found := range listed {
					byName[found.Name] = found
				}
				return byName
			}
			if found := list(); len(found) != 0 {
				t.Errorf("got %v in a new database, want none", found)
			}
			secret, id := createToken(t, env, "--scope", "run", "--name", "ci", "--expires", "720h")
			createToken(t, env, "--scope", "read", "--name", "scraper")
			createToken(t, env, "--scope", "admin", "--name", "past", "--expires", "1ns")
			revokeToken(t.Context(), t, env, id)

			found := list()
			ci := found["ci"]
			if ci.ID != id || ci.Scope != "run" || ci.State != "revoked" || ci.RevokedAt == nil ||
				ci.ExpiresAt == nil || ci.ExpiresAt.Sub(ci.CreatedAt) != 720*time.Hour || time.Since(ci.CreatedAt) > time.Minute {
				t.Errorf("got %+v, want it revoked", ci)
			}
			if scraper := found["scraper"]; scraper.Scope != "read" || scraper.State != "good" || scraper.ExpiresAt != nil || scraper.LastUsedAt != nil {
				t.Errorf("got %+v, want it good for ever and unused", scraper)
			}
			if past := found["past"]; past.Scope != "admin" || past.State != "expired" {
				t.Errorf("got %+v, want it expired", past)
			}
			for _, line := range []string{"token list", "token list -o json", "token revoke " + id} {
				got := call{args: strings.Fields(line), env: env}.run(t.Context())
				if got.code != exitDone || strings.Contains(got.stdout+got.stderr, secret[len(secret)-26:]) {
					t.Errorf("%s: got %+v, want no secret", line, got)
				}
			}
			missing := call{args: []string{"token", "revoke", "ABCDEFGHIJ"}, env: env}.run(t.Context())
			if missing.code != exitUnknown || !strings.Contains(missing.stderr, "token list") {
				t.Errorf("an unknown id: got %+v, want exit code 3 and advice", missing)
			}
		})
	}
}

func TestTokenIsAloneOnStdout(t *testing.T) {
	t.Parallel()
	dir := newDatabase(t)
	got := call{args: []string{"token", "create", "--scope", "read", "--data-dir", dir}}.run(t.Context())
	if !regexp.MustCompile(`^sgt_[A-Z2-7]{10}_[A-Z2-7]{26}\n$`).MatchString(got.stdout) || !strings.Contains(got.stderr, dir) {
		t.Errorf("got %+v, want the token, and the database on stderr", got)
	}
}

func TestTokenUsage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	for line, want := range map[string]string{
		"token create":                             "--scope",
		"token create --scope root":                "read, run or admin",
		"token create --scope run --expires -1h":   "--expires",
		"token create --scope run --expires never": "--expires",
		"token revoke":                             "ID",
		"token list all":                           "all",
	} {
		got := call{args: append(strings.Fields(line), "--data-dir", dir)}.run(t.Context())
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: got %+v, want exit code 2 and %q", line, got, want)
		}
	}
	if names, _ := filepath.Glob(dir); names != nil {
		t.Errorf("wrong usage left %v", names)
	}
}

func TestTokensSayWhatIsWrongWithADatabase(t *testing.T) {
	t.Parallel()
	faults := append(faultyDatabases(t), databaseFault{"no schema", testpostgres.Empty(t), exitRefused, []string{"migrate up"}})
	for _, fault := range faults {
		if fault.url != "" { // without one it is a folder
			fault.check(t, onDatabase(fault.url, "token", "list").run(withTimeout(t)))
		}
	}
	dir := filepath.Join(t.TempDir(), "data")
	for _, line := range []string{"token list", "token create --scope run", "token revoke ABCDEFGHIJ"} {
		got := call{args: append(strings.Fields(line), "--data-dir", dir)}.run(t.Context())
		if got.code != exitRefused || got.stdout != "" || !strings.Contains(got.stderr, "--data-dir "+dir) || !strings.Contains(got.stderr, "start one") {
			t.Errorf("%s: got %+v, want the flag and what to do", line, got)
		}
	}
	if names, _ := filepath.Glob(dir); names != nil {
		t.Errorf("looking for tokens left %v", names)
	}
}

// with returns env with more in it.
func with(env map[string]string, more map[string]string) map[string]string {
	env = maps.Clone(env)
	maps.Copy(env, more)
	return env
}
