package server_test

import (
	"net/http"
	"strings"
	"testing"

	"singularity/server/servertest"
)

func TestMetricsAreThoseOfTheEngineAndTheProcess(t *testing.T) {
	t.Parallel()
	served := serve(t, &servertest.Engine{})
	for range 2 { // a scrape leaves nothing behind
		got := served.do(t, request(t, http.MethodGet, served.url+"/metrics", http.NoBody))
		if got.code != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
			t.Fatalf("got %s of type %q, want Prometheus' text", got.status, got.header.Get("Content-Type"))
		}
		for _, want := range []string{"\nsingularity_test 1\n", "\ngo_goroutines ", "\nprocess_open_fds "} {
			if !strings.Contains("\n"+string(got.body), want) {
				t.Errorf("%q is not in\n%s", want, got.body)
			}
		}
	}
}

func TestMetricsAreOnlyRead(t *testing.T) {
	t.Parallel()
	served := serve(t, &servertest.Engine{})
	got := served.do(t, request(t, http.MethodPost, served.url+"/metrics", strings.NewReader("{}")))
	if got.code != http.StatusMethodNotAllowed {
		t.Errorf("POST got %s, want 405", got.status)
	}
}
