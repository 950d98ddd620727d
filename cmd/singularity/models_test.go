package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDevUsesAnOpenAICompatibleServer(t *testing.T) {
	t.Parallel()
	var authorizations []string
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorizations = append(authorizations, r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/v1/chat/completions":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(w, `data: {"model":"gpt-test","choices":[{"index":0,"delta":{"content":"No."},"finish_reason":"stop"}]}`, "\n\n",
				`data: {"model":"gpt-test","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}`, "\n\n", "data: [DONE]\n\n")
		case "/v1/embeddings":
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"data":[{"index":0,"embedding":[0.6,0.8]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}`)
		}
	}))
	defer provider.Close()
	env := map[string]string{"OPENAI_BASE_URL": provider.URL + "/v1", "OPENAI_API_KEY": "sk-canary"}
	node := startDev(t, env, "--ephemeral")

	answer := at(node.URL, "run", "start", "llm_request", "--wait", "-o", "json", "--input",
		`{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Is this spam?"}]}`).run(t.Context())
	if !strings.Contains(answer.stdout, `"response":"No."`) || !strings.Contains(answer.stdout, `"tokens_used":12`) {
		t.Errorf("got %+v, want the server's answer", answer)
	}
	embedding := at(node.URL, "run", "start", "embedding", "--wait", "-o", "json", "--input", `{"query_id":"q1","query":"hello"}`).run(t.Context())
	if !strings.Contains(embedding.stdout, `"embedding":[0.6,0.8]`) {
		t.Errorf("got %+v, want the server's vector", embedding)
	}
	node.stop()
	log := (<-node.results).stderr
	if len(authorizations) != 2 || authorizations[0] != "Bearer sk-canary" {
		t.Errorf("the server saw authorizations %q", authorizations)
	}
	if strings.Contains(log+answer.stdout+embedding.stdout, "sk-canary") {
		t.Error("the key is in the log or in an output")
	}
}

func TestProvidersAreChosen(t *testing.T) {
	t.Parallel()
	all := map[string]string{"OPENAI_API_KEY": "sk-x", "ANTHROPIC_API_KEY": "sk-y", "GEMINI_API_KEY": "z"}
	tests := []struct {
		name  string
		flag  []string
		env   map[string]string
		want  string
		fault string
	}{
		{"nothing set", nil, nil, "simulated", ""},
		{"empty variables", nil, map[string]string{"OPENAI_API_KEY": "", "ANTHROPIC_BASE_URL": ""}, "simulated", ""},
		{"key of OpenAI", nil, map[string]string{"OPENAI_API_KEY": "sk-x"}, "openai", ""},
		{"key of Anthropic", nil, map[string]string{"ANTHROPIC_API_KEY": "sk-x"}, "anthropic", ""},
		{"key of Google", nil, map[string]string{"GOOGLE_API_KEY": "x"}, "gemini", ""},
		{"key of Gemini", nil, map[string]string{"GEMINI_API_KEY": "x"}, "gemini", ""},
		{"base URL", nil, map[string]string{"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai", ""},
		{"all of them", nil, all, "anthropic, gemini, openai", ""},
		{"some of them", []string{"openai", "gemini"}, all, "openai, gemini", ""},
		{"flag against the key", []string{"simulated"}, all, "simulated", ""},
		{"flag without a key", []string{"openai"}, nil, "", "OPENAI_API_KEY"},
		{"another flag without a key", []string{"anthropic"}, nil, "", "set ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL"},
		{"twice", []string{"simulated", "simulated"}, nil, "", "configured twice"},
		{"unknown", []string{"oracle"}, nil, "", "--provider"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCLI(nil, nil, nil, lookup(test.env))
			got, err := c.models(modelFlags{providers: test.flag}, slog.New(slog.DiscardHandler))
			if test.fault == "" && (err != nil || got.about() != test.want) || test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
				t.Errorf("got %q, %v; want %q, %q", got.about(), err, test.want, test.fault)
			}
		})
	}
}

func TestEmbeddersAreChosen(t *testing.T) {
	t.Parallel()
	openaiEnv := map[string]string{"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
	geminiEnv := map[string]string{"GEMINI_API_KEY": "x"}
	both := map[string]string{"OPENAI_API_KEY": "sk-x", "GEMINI_API_KEY": "x"}
	tests := []struct {
		model string
		env   map[string]string
		want  string // the models, the default first
	}{
		{"", nil, "hashed-ngram-2560"},
		{"hashed-ngram-2560", nil, "hashed-ngram-2560"},
		{"nomic", nil, "error"},
		{"", openaiEnv, "text-embedding-3-large hashed-ngram-2560"},
		{"text-embedding-3-large", openaiEnv, "text-embedding-3-large hashed-ngram-2560"},
		{"hashed-ngram-2560", openaiEnv, "hashed-ngram-2560 text-embedding-3-large"},
		{"nomic", openaiEnv, "nomic text-embedding-3-large hashed-ngram-2560"},
		{"", geminiEnv, "gemini-embedding-001 hashed-ngram-2560"},
		{"gemini-embedding-2", geminiEnv, "gemini-embedding-2 gemini-embedding-001 hashed-ngram-2560"},
		{"gemini-embedding-2", openaiEnv, "error"},
		{"", both, "gemini-embedding-001 text-embedding-3-large hashed-ngram-2560"},
		{"text-embedding-3-large", both, "text-embedding-3-large gemini-embedding-001 hashed-ngram-2560"},
		{"nomic", both, "nomic gemini-embedding-001 text-embedding-3-large hashed-ngram-2560"},
	}
	for _, test := range tests {
		c := newCLI(nil, nil, nil, lookup(test.env))
		chosen, err := c.models(modelFlags{embeddingModel: test.model}, slog.New(slog.DiscardHandler))
		got := "error"
		if err == nil {
			var names []string
			for _, embedder := range chosen.embedders {
				names = append(names, embedder.Model())
			}
			got = strings.Join(names, " ")
		}
		if got != test.want {
			t.Errorf("--embedding-model %q with %v: got %s (%v), want %s", test.model, test.env, got, err, test.want)
		}
	}
}

func TestModelsComeFromAFile(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "models.json")
	table := `{"date":"2026-01-02","models":[{"provider":"simulated","model":"mine","tier":"small","usd_per_mtok_in":1,"usd_per_mtok_out":2}]}`
	if err := os.WriteFile(good, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	node := startDev(t, nil, "--ephemeral", "--models", good)
	got := at(node.URL, "run", "start", "llm_request", "--wait", "-o", "json", "--input",
		`{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Hi"}]}`).run(t.Context())
	if !strings.Contains(got.stdout, `"model":"mine"`) {
		t.Errorf("got %+v, want the model of the file", got)
	}

	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`[]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, "/no/such/file"} {
		if got := (call{args: []string{"dev", "--ephemeral", "--models", file}}).run(withTimeout(t)); got.code == exitDone || !strings.Contains(got.stderr, file) {
			t.Errorf("%s: got %+v, want an error that names the file", file, got)
		}
	}
}
