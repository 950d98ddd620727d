package queuetest

import (
	"bytes"
	"encoding/json"
	"testing"
)

// parsed is a document with its numbers as they are written, nil for none.
func parsed(t testing.TB, document json.RawMessage) any {
	t.Helper()
	if document == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("document %s: %v", document, err)
	}
	return value
}
