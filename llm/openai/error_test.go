package openai

import (
	"strings"
	"testing"
	"unicode/utf8"

	"singularity/llm"
)

func FuzzErrorDocument(f *testing.F) {
	f.Add(429, []byte(`{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`))
	f.Add(0, []byte(`{"error":{"code":502}}`))
	f.Add(401, []byte(`{"error":"`+testKey+`"}`))
	f.Add(500, []byte("<html>\x00\xff"))
	provider := &Provider{clean: cleaner(testKey)}
	f.Fuzz(func(t *testing.T, status int, document []byte) {
		failure := &llm.Error{Status: status}
		provider.explainDocument(failure, document)
		if failure.Class == "" || failure.Err == nil {
			t.Fatalf("%+v is not explained", failure)
		}
		text := failure.Err.Error()
		if strings.Contains(text, testKey) || strings.ContainsAny(text, "\n\x00") || !utf8.ValidString(text) || len(text) > 4*501 {
			t.Errorf("unclean text %q", text)
		}
	})
}
