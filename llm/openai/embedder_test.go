package openai

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
	var path string
	var body map[string]any
	provider := setup(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		providertest.Reply(200, `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.6,-0.8]}],"usage":{"prompt_tokens":2,"total_tokens":2}}`)(w, r)
	})
	embedder := provider.Embedder("text-embedding-3-small", 2)
	embedding, err := embedder.Embed(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Embedding{Vector: []float32{0.6, -0.8}, Usage: llm.Usage{In: 2}}
	if !reflect.DeepEqual(embedding, want) {
		t.Errorf("%+v, expected %+v", embedding, want)
	}
	wantBody := map[string]any{"model": "text-embedding-3-small", "input": "hello", "dimensions": 2.0, "encoding_format": "float"}
	if path != "/v1/embeddings" || !reflect.DeepEqual(body, wantBody) {
		t.Errorf("asked %v at %s, expected %v", body, path, wantBody)
	}
	if embedder.Provider() != "openai" || embedder.Model() != "text-embedding-3-small" {
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
		"rate limit": {providertest.Reply(429, `{"error":{"message":"slow down","type":"requests","code":null}}`), llm.RateLimit, "slow down"},
		"no vector":  {providertest.Reply(200, `{"object":"list","model":"m","data":[],"usage":{}}`), llm.Unknown, "did not answer with one vector"},
		"empty":      {providertest.Reply(200, `{"object":"list","model":"m","data":[{"embedding":[]}],"usage":{}}`), llm.Unknown, "did not answer with one vector"},
		"null":       {providertest.Reply(200, `null`), llm.Unknown, "did not answer with one vector"},
		"nonsense":   {providertest.Reply(200, `{"data": 7`), llm.Unknown, ""},
		"page":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hello", 200) }, llm.Unknown, ""},
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

func TestKeyNeverShowsInEmbeddings(t *testing.T) {
	t.Parallel()
	_, err := setup(t, func(w http.ResponseWriter, r *http.Request) {
		providertest.Reply(400, protocol.Refusal("bad: "+r.Header.Get("Authorization")))(w, r)
	}).Embedder("m", 0).Embed(t.Context(), "hello")
	if err == nil || !strings.Contains(err.Error(), "bad: Bearer [key]") {
		t.Errorf("%v, expected the server's words without the key", err)
	}
}
