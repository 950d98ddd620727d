package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// canaries are the keys, by the providers' names.
var canaries = map[string]string{"anthropic": "sk-canary-a-5d1e77", "gemini": "canary-g-90c4ab", "openai": "sk-canary-o-e23f18"}

// parrot is a server for all providers that says the key wherever it can, as the
// request asks it to: in the answer of an error, in a stream, or never.
type parrot struct{ waiting atomic.Int32 }

func (p *parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key")
	w.Header().Set("X-Request-Id", key)
	body, _ := io.ReadAll(r.Body)
	fault := fmt.Sprintf(`{"type":"error","error":{"message":"I heard %s","type":"%s","status":"%s"}}`, key, key, key)
	switch {
	case bytes.Contains(body, []byte("refuse")):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, fault)
	case bytes.Contains(body, []byte("overload")):
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, fault)
	case bytes.Contains(body, []byte("babble")):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "event: error\ndata: %s\n\n", fault)
		_, _ = fmt.Fprintf(w, "event: message_start\ndata: %s\n\n", key)
	default:
		p.waiting.Add(1)
		<-r.Context().Done()
	}
}

// TestKeysNeverShow has a node meet every kind of error with every provider, ends
// it with a dump of all that its goroutines do, and looks for the keys in all that
// it has said and left behind.
func TestKeysNeverShow(t *testing.T) {
	t.Parallel()
	server := &parrot{}
	vendors := httptest.NewServer(server)
	t.Cleanup(vendors.Close)
	dir := t.TempDir()
	table := filepath.Join(dir, "models.json")
	if err := os.WriteFile(table, []byte(`{"date":"2026-01-02","models":[
		{"provider":"openai","model":"o","tier":"small"}, {"provider":"anthropic","model":"a","tier":"medium"}, {"provider":"gemini","model":"g","tier":"large"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	node := startProcessOf(t, []string{
		"ANTHROPIC_API_KEY=" + canaries["anthropic"], "ANTHROPIC_BASE_URL=" + vendors.URL,
		"GEMINI_API_KEY=" + canaries["gemini"], "GOOGLE_GEMINI_BASE_URL=" + vendors.URL,
		"OPENAI_API_KEY=" + canaries["openai"], "OPENAI_BASE_URL=" + vendors.URL,
	}, "dev", "--data-dir", data, "--models", table, "--log-level", "debug")

	var said strings.Builder
	ask := func(args ...string) result {
		got := at(node.URL, args...).run(t.Context())
		said.WriteString(got.stdout + got.stderr)
		return got
	}
	for provider, task := range map[string]string{"openai": "classifier", "anthropic": "chat", "gemini": "math"} {
		request := func(what string) string {
			return fmt.Sprintf(`{"request_id":"%s-%s","task_type":"%s","messages":[{"role":"user","content":"%s"}]}`, provider, what, task, what)
		}
		if got := ask("run", "start", "llm_request", "--wait", "--input", request("refuse")); got.code != exitRefused || !strings.Contains(got.stderr, provider+": bad_request (HTTP 400): I heard [key]") {
			t.Errorf("got %+v, want the server's words without the key", got)
		}
		for _, what := range []string{"overload", "babble", "wait"} {
			ask("run", "start", "llm_request", "--tag", what+"-"+provider, "--input", request(what))
		}
		for _, what := range []string{"overload", "babble"} {
			eventually(t, func() bool {
				return strings.Contains(ask("run", "list", "--tag", what+"-"+provider, "-o", "json").stdout, `[key]`)
			})
		}
	}
	eventually(t, func() bool { return server.waiting.Load() >= 3 })
	for _, args := range [][]string{
		{"run", "list", "-o", "json"}, {"cluster", "actors"}, {"workflow", "show", "llm_request"}, {"queue", "list"},
	} {
		ask(args...)
	}
	metrics, err := http.Get(node.URL + "/metrics") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(&said, metrics.Body)
	_ = metrics.Body.Close()

	node.signal(t, syscall.SIGQUIT)
	_ = node.Wait()
	wantNoKeys(t, "what the API said", said.String(), "[key]")
	wantNoKeys(t, "the log and the dump of all goroutines", node.log.String(), "goroutine ")
	wantNoKeys(t, "the database", contentsOf(t, data), "I heard [key]")
}

// wantNoKeys looks for the keys in a text that has something to find.
func wantNoKeys(t *testing.T, where, text, something string) {
	t.Helper()
	if !strings.Contains(text, something) {
		t.Errorf("%s: %q is not in its %d bytes, so that nothing was looked at", where, something, len(text))
	}
	for provider, key := range canaries {
		if at := strings.Index(text, key); at >= 0 {
			t.Errorf("the key of %s is in %s: …%s…", provider, where, text[max(0, at-100):min(len(text), at+100)])
		}
	}
}

// contentsOf is all that is in the files of a folder, byte for byte.
func contentsOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
