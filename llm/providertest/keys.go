package providertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"singularity/llm"
	"singularity/llm/wire"
)

// The key goes into one header, and nowhere else, whatever the server says.
func testKeyNeverShows(t *testing.T, p Protocol) {
	echo := func(status int, format string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", keyIn(r.Header))
			Reply(status, strings.ReplaceAll(format, "KEY", keyIn(r.Header)))(w, r)
		}
	}
	echoes := func(events ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, event := range events {
				sendEvents(w, strings.ReplaceAll(event, "KEY", keyIn(r.Header)))
			}
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"bad request": echo(400, p.Refusal("bad: KEY")),
		"wrong key":   echo(401, p.Refusal("bad: KEY")),
		"forbidden":   echo(403, p.Refusal("KEY")),
		"text":        echo(500, `KEY`),
		"in a stream": echoes(p.Begin, p.Fault("bad: KEY")),
		"garbage":     echoes("data: KEY\n\n"),
		"refusal":     echoes(p.Begin, p.Refused("KEY is unkind", p.Counted)),
		"cut":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := p.provider(t, handler)
			_, err := provider.Complete(t.Context(), p.question())
			if err == nil {
				t.Fatal("no error to look into")
			}
			for link := err; link != nil; link = errors.Unwrap(link) {
				encoded, _ := json.Marshal(link)
				for _, shown := range []string{fmt.Sprintf("%v %+v %#v", link, link, link), string(encoded)} {
					if strings.Contains(shown, testKey) {
						t.Errorf("the key shows in %s", shown)
					}
				}
			}
			if shown := fmt.Sprintf("%v %+v %#v", provider, provider, provider); strings.Contains(shown, testKey) {
				t.Errorf("the key shows in the provider: %s", shown)
			}
		})
	}
}

func testConfiguration(t *testing.T, p Protocol) {
	for name, test := range map[string]struct {
		baseURL, key string
		config       wire.Config
		want         string // empty: accepted
	}{
		"the vendor with a key":    {"", testKey, wire.Config{}, ""},
		"a server without a key":   {"http://127.0.0.1:8000/v1", "", wire.Config{}, ""},
		"a server with a key":      {"https://example.org", testKey, wire.Config{}, ""},
		"the vendor without a key": {"", "", wire.Config{}, "no API key"},
		"no scheme":                {"example.org/v1", testKey, wire.Config{}, "expected one such as https://"},
		"another scheme":           {"ftp://example.org", testKey, wire.Config{}, "is not an HTTP URL"},
		"no URL":                   {"http://[::1", testKey, wire.Config{}, "is not an HTTP URL"},
		"a key for a URL":          {testKey, "", wire.Config{}, "is not an HTTP URL"},
		"a password in the URL":    {"https://user:" + testKey + "@example.org", "", wire.Config{}, "the base URL has a user"},
		"a key in the URL":         {"https://example.org/?key=" + testKey, "", wire.Config{}, "a query"},
		"a key with a line break":  {"", testKey + "\n", wire.Config{}, "spaces and line breaks"},
		"negative timeouts":        {"", testKey, wire.Config{Timeouts: llm.Timeouts{Gap: -1}}, "gap timeout -1ns is negative"},
	} {
		_, err := p.New(test.baseURL, test.key, test.config)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, expected %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the key shows in %v", name, err)
		}
	}
}

// EnvironmentIsNotRead checks that a provider takes nothing from the variables
// that the vendor's SDK knows. It cannot run beside other tests.
func EnvironmentIsNotRead(t *testing.T, p Protocol) {
	for name, value := range p.Env {
		t.Setenv(name, value)
	}
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		sendEvents(w, p.Begin, p.Text("Hello"), p.End(llm.Stopped, p.Counted))
	}))
	defer server.Close()
	provider, err := p.New(server.URL, "", wire.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Complete(t.Context(), p.question()); err != nil {
		t.Fatal(err)
	}
	if key := keyIn(header); key != "" {
		t.Errorf("the key %q was sent", key)
	}
	for name, values := range header {
		for _, value := range p.Env {
			if strings.Contains(strings.Join(values, " "), value) {
				t.Errorf("%s: %s was sent", name, values)
			}
		}
	}
}
