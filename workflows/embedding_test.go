package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/llm"
	"singularity/llm/embedding"
	"singularity/workflow"
)

// otherEmbedder has vectors of its own.
type otherEmbedder struct{ err error }

func (otherEmbedder) Provider() string { return "other" }
func (otherEmbedder) Model() string    { return "short-vectors" }

func (e otherEmbedder) Embed(_ context.Context, text string) (llm.Embedding, error) {
	return llm.Embedding{Vector: []float32{float32(len(text)), 0.5}}, e.err
}

func ExampleEmbedding() {
	end, err := run(context.Background(), Embedding(embedding.Embedder{}), `{"query_id": "q-1", "query": "How do I reset my password?"}`)
	if err != nil {
		panic(err)
	}
	var output QueryEmbedding
	if err := json.Unmarshal([]byte(end.Output), &output); err != nil {
		panic(err)
	}
	fmt.Println(output.QueryID, output.Dim, len(output.Embedding))
	// Output: q-1 2560 2560
}

func TestEmbeddingKeepsItsContract(t *testing.T) {
	t.Parallel()
	definition := Embedding(embedding.Embedder{}, otherEmbedder{})
	if got, want := stepNames(definition), "receive_query validate_query generate_embedding publish_embedding"; got != want {
		t.Errorf("steps %s, expected %s", got, want)
	}
	const input = `{"query_id": "q-1", "query": "  hello\n", "model": "short-vectors"}`
	if admission, err := workflow.Compile(definition).Admit([]byte(input)); err != nil || admission.Key != "q-1" {
		t.Errorf("key %q, %v; expected the query_id", admission.Key, err)
	}

	started := time.Now()
	end, err := run(t.Context(), definition, input)
	if err != nil {
		t.Fatal(err)
	}
	output := decode[map[string]any](t, end.Output)
	if output["query_id"] != "q-1" || !reflect.DeepEqual(output["embedding"], []any{5.0, 0.5}) || output["embedding_dim"] != 2.0 || len(output) != 4 {
		t.Errorf("output %s, expected the vector of the trimmed query", end.Output)
	}
	text, _ := output["timestamp"].(string)
	if moment, err := time.Parse(time.RFC3339, text); err != nil || moment.Before(started.Add(-time.Second)) || moment.After(time.Now().Add(time.Second)) {
		t.Errorf("timestamp %q, %v; expected now", text, err)
	}
	if record := decode[centralcloud.Call](t, string(end.Facts[0].Doc)); record.Provider != "other" || record.Model != "short-vectors" || record.TaskType != "embedding" {
		t.Errorf("recorded %s", end.Facts[0].Doc)
	}
	if end.Summary.Model != "short-vectors" || strings.Contains(string(end.Summary.Input), "hello") {
		t.Errorf("summary %+v", end.Summary)
	}
}

func TestEmbeddingRefusesBadInput(t *testing.T) {
	t.Parallel()
	refusals(t, Embedding(embedding.Embedder{}), map[string]struct{ input, field, reason string }{
		"no query_id":   {`{"query": "hello"}`, "query_id", "is missing"},
		"no query":      {`{"query_id": "q"}`, "query", "is empty; expected 1 to 10000 characters"},
		"only spaces":   {`{"query_id": "q", "query": " \n\t"}`, "query", "is empty"},
		"long query":    {`{"query_id": "q", "query": "` + strings.Repeat("ä", 10_001) + `"}`, "query", "has 10001 characters"},
		"long model":    {`{"query_id": "q", "query": "hello", "model": "` + strings.Repeat("m", 129) + `"}`, "model", "at most 128"},
		"wrong type":    {`{"query_id": "q", "query": ["hello"]}`, "query", "must be a string"},
		"unknown field": {`{"query_id": "q", "query": "hello", "dim": 3}`, "dim", "is not a field"},
	})
}

func TestLongestQueryIsEmbedded(t *testing.T) {
	t.Parallel()
	query := " " + strings.Repeat("ä", 10_000) + " "
	end, err := run(t.Context(), Embedding(embedding.Embedder{}), `{"query_id": "q", "query": "`+query+`"}`)
	if output := decode[QueryEmbedding](t, end.Output); err != nil || output.Dim != embedding.Dimensions {
		t.Errorf("%d dimensions, %v", output.Dim, err)
	}
}

func TestEmbeddingByAnUnknownModelFailsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := run(t.Context(), Embedding(embedding.Embedder{}, otherEmbedder{}), `{"query_id": "q", "query": "hello", "model": "missing"}`)
	var failure *workflow.StepError
	if !errors.As(err, &failure) || failure.Step != "validate_query" || failure.Attempt != 1 {
		t.Errorf("%v, expected validate_query to fail at once", err)
	}
	if want := `model "missing"; expected one of ["hashed-ngram-2560" "short-vectors"]`; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, expected %q", err, want)
	}
}

func TestFailedEmbeddingIsTriedAgain(t *testing.T) {
	t.Parallel()
	end, err := run(t.Context(), Embedding(otherEmbedder{&llm.Error{Class: llm.Overload, Provider: "other"}}), `{"query_id": "q", "query": "hello"}`)
	if llm.ClassOf(err) != llm.Overload || len(end.Facts) != 5 {
		t.Errorf("%v after %d attempts, expected 5", err, len(end.Facts))
	}
}
