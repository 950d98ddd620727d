package server_test

import (
	"net/http"
	"strings"
	"testing"

	"singularity/messages"
	"singularity/server"
)

func TestManyRunsMayHaveALargeRequest(t *testing.T) {
	t.Parallel()
	start := `{"workflow":"greet","inputJson":"{\"name\":\"` + strings.Repeat("x", 999_970) + `\"}"}`
	requestOf := func(starts int) string {
		return `{"runs":[` + strings.TrimSuffix(strings.Repeat(start+",", starts), ",") + `]}`
	}
	engine := engineWithAll()
	served := run(t, server.Handler(engine, server.Config{}))
	node := api{url: served.url, client: http.DefaultClient}

	got := node.post(t, "RunService/StartRuns", requestOf(17))
	refusal := decodeError(t, got.body)
	if got.code != http.StatusRequestEntityTooLarge || refusal.detail.GetReason() != messages.ErrorDetail_REASON_TOO_LARGE || refusal.detail.GetLimit() != 16<<20 {
		t.Errorf("got %s %s, want 413 with the limit", got.status, got.body)
	}
	if starts := engine.Starts(); starts != nil {
		t.Errorf("got %d starts, want none", len(starts))
	}
	if got := node.post(t, "RunService/StartRuns", requestOf(16)); got.code != http.StatusOK || len(engine.Starts()) != 16 {
		t.Errorf("got %s %.200s and %d starts, want 16", got.status, got.body, len(engine.Starts()))
	}
}
