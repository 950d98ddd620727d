package gemini

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"singularity/llm"
	"singularity/llm/providertest"
)

func TestTextIsEmbedded(t *testing.T) {
	t.Parallel()
	var path, key string
	var body struct {
		Requests []struct {
			Content struct {
				Parts []struct {
					Text string `json:"text"`
				} `json:"parts"`
			} `json:"content"`
			Dimensions int `json:"outputDimensionality"`
		} `json:"requests"`
	}
	provider := setup(t, func(w http.ResponseWriter, r *http.Request) {
		path, key = r.URL.Path, r.Header.Get("X-Goog-Api-Key")
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		providertest.Reply(200, `{"embeddings":[{"values":[3,-4]}]}`)(w, r)
	})
	embedder := provider.Embedder("gemini-embedding-001", 2)
	embedding, err := embedder.Embed(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	if want := (llm.Embedding{Vector: []float32{0.6, -0.8}}); !reflect.DeepEqual(embedding, want) {
		t.Errorf("%+v, expected %+v: of length 1", embedding, want)
	}
	if path != "/v1beta/models/gemini-embedding-001:batchEmbedContents" || key != "key-canary-9e7a" {
		t.Errorf("asked at %s with the key %q", path, key)
	}
	if len(body.Requests) != 1 || body.Requests[0].Dimensions != 2 || body.Requests[0].Content.Parts[0].Text != "hello" {
		t.Errorf("asked %+v, expected hello in two dimensions", body)
	}
	if embedder.Provider() != "gemini" || embedder.Model() != "gemini-embedding-001" {
		t.Errorf("is %s of %s", embedder.Model(), embedder.Provider())
	}
}

func TestFailedEmbeddingsAreClassed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		class   llm.Class
		reason  string
	}{
		"rate limit": {providertest.Reply(429, document(429, "RESOURCE_EXHAUSTED", "slow down", "")), llm.RateLimit, "slow down"},
		"no vector":  {providertest.Reply(200, `{"embeddings":[]}`), llm.Unknown, "did not answer with one vector"},
		"empty":      {providertest.Reply(200, `{"embeddings":[{"values":[]}]}`), llm.Unknown, "did not answer with one vector"},
		"a number":   {providertest.Reply(200, `{"embeddings":7}`), llm.Unknown, ""},
		"null":       {providertest.Reply(200, `null`), llm.Unknown, ""},
		"nonsense":   {providertest.Reply(200, `{"embeddings": 7`), llm.Unknown, ""},
		"an echo": {func(w http.ResponseWriter, r *http.Request) {
			providertest.Reply(400, document(400, "INVALID_ARGUMENT", r.Header.Get("X-Goog-Api-Key"), ""))(w, r)
		}, llm.BadRequest, "[key]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, test.handler).Embedder("m", 0).Embed(t.Context(), "hello")
			if llm.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v, expected class %s: %s", err, test.class, test.reason)
			}
		})
	}
}
