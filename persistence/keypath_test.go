package persistence_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"singularity/persistence"
	"singularity/workflow"
)

func TestKeyPathFindsScalarsAsTheirText(t *testing.T) {
	t.Parallel()
	const input = `{
		"tenant": "acme", "user": {"id": 17, "admin": true, "rate": 1.50, "none": null},
		"items": [{"sku": "a"}, {"sku": "b"}], "grid": [[1, 2], [3]], "zero": "\u0000", "half": "\ud800", "naïve name": "é"
	}`
	for path, want := range map[string]string{
		"tenant":       "acme",
		"user.id":      "17",
		"user.admin":   "true",
		"user.rate":    "1.50",
		"items[1].sku": "b",
		"grid[0][1]":   "2",
		"naïve name":   "é",
		"zero":         "\uFFFD",
		"half":         "\uFFFD",

		"user.none":    "",
		"user":         "",
		"items":        "",
		"missing":      "",
		"tenant.id":    "",
		"tenant[0]":    "",
		"items[2].sku": "",
		"items.sku":    "",
		"[0]":          "",
	} {
		parsed, err := persistence.ParseKeyPath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got := parsed.Of([]byte(input)); got != want {
			t.Errorf("%s: key %q, want %q", path, got, want)
		}
	}
}

func TestKeyPathOfOtherInputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, input, want string }{
		{"[1]", `["a", "b"]`, "b"},
		{"[0].id", `[{"id": 3}]`, "3"},
		{"tenant", `"acme"`, ""},
		{"tenant", `null`, ""},
		{"tenant", `{"tenant": `, ""},
		{"tenant", ``, ""},
	} {
		parsed, err := persistence.ParseKeyPath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Of([]byte(c.input)); got != c.want {
			t.Errorf("%s of %s: key %q, want %q", c.path, c.input, got, c.want)
		}
	}
}

func TestLongKeysStayApart(t *testing.T) {
	t.Parallel()
	path, err := persistence.ParseKeyPath("k")
	if err != nil {
		t.Fatal(err)
	}
	of := func(text string) string { return path.Of([]byte(`{"k": "` + text + `"}`)) }
	long := strings.Repeat("ü", 200)
	one, other := of(long+"1"), of(long+"2")
	if one == other || len(one) > 256 || len(other) > 256 || !utf8.ValidString(one) {
		t.Errorf("keys %q and %q, want different ones of at most 256 bytes", one, other)
	}
	if exact := strings.Repeat("k", 256); of(exact) != exact {
		t.Error("a key of 256 bytes was changed")
	}
}

func TestMalformedKeyPathsNameTheField(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[-1]", "a[01]", "a[0", "a0]", "a[0]b", "a.[0]", "a[0][", "a\x00",
		strings.Repeat("a", 513),
	} {
		_, err := persistence.ParseKeyPath(path)
		if refused, ok := errors.AsType[*workflow.InputError](err); !ok || refused.Field != "key_path" {
			t.Errorf("%q: %v, want a refusal of key_path", path, err)
		}
	}
}

func FuzzKeyPath(f *testing.F) {
	f.Add("user.id", []byte(`{"user":{"id":1}}`))
	f.Add("items[0][1].sku", []byte(`[[1]]`))
	f.Fuzz(func(t *testing.T, path string, input []byte) {
		parsed, err := persistence.ParseKeyPath(path)
		if err != nil {
			return
		}
		if key := parsed.Of(input); len(key) > 256 || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
			t.Errorf("key %q of %q in %q cannot be stored", key, path, input)
		}
	})
}
