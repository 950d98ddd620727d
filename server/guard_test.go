package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"singularity/messages"
	"singularity/server"
	"singularity/server/servertest"
)

// routes are all that the handler answers: every method of every service of
// the protobuf files, and what is not in them.
func routes() []string {
	paths := []string{"/", "/livez", "/readyz", "/metrics", "/nowhere"}
	for _, file := range []protoreflect.FileDescriptor{
		messages.File_singularity_v1_run_proto, messages.File_singularity_v1_workflow_proto,
		messages.File_singularity_v1_actor_proto, messages.File_singularity_v1_agent_proto,
		messages.File_singularity_v1_cluster_proto,
		messages.File_singularity_v1_queue_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				paths = append(paths, "/"+string(service.FullName())+"/"+string(service.Methods().Get(j).Name()))
			}
		}
	}
	return paths
}

var everyMethod = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions, http.MethodTrace, "BREW",
}

func TestEveryRouteRefusesForeignHostsAndOrigins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*http.Request)
	}{
		{"rebound name", func(r *http.Request) { r.Host = "evil.example" }},
		{"rebound name with our port", func(r *http.Request) { r.Host = "evil.example:4000" }},
		{"name that begins like ours", func(r *http.Request) { r.Host = "localhost.evil.example" }},
		{"no name", func(r *http.Request) { r.Host = "" }},
		{"other origin", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
		{"other port", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8080") }},
		{"no origin to speak of", func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"other site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"neighbour site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
	}
	handler := server.Handler(&servertest.Engine{}, server.Config{})
	if got := len(routes()); got != 5+31 {
		t.Errorf("found %d routes, want 36: is a service missing from the list of files?", got)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range routes() {
				for _, method := range everyMethod {
					r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:4000"+path, strings.NewReader("{}"))
					r.Header.Set("Content-Type", "application/json")
					test.change(r)
					recorder := httptest.NewRecorder()
					handler.ServeHTTP(recorder, r)
					if recorder.Code != http.StatusForbidden {
						t.Errorf("%s %s: got %d, want 403", method, path, recorder.Code)
					}
				}
			}
		})
	}
}

func TestEveryRouteAnswersLocalClients(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"http://127.0.0.1:4000", "http://localhost:4000", "http://[::1]:4000", "http://LOCALHOST:4000", "http://localhost", "http://[::1]", "http://flows.example"} {
		t.Run(origin, func(t *testing.T) {
			t.Parallel()
			handler := server.Handler(&servertest.Engine{}, server.Config{Hosts: []string{"flows.example"}})
			for _, path := range routes() {
				for _, method := range everyMethod {
					r := httptest.NewRequestWithContext(t.Context(), method, origin+path, strings.NewReader(`{"id": "x", "name": "x"}`))
					r.Header.Set("Content-Type", "application/x-not-known")
					r.Header.Set("Origin", origin)
					r.Header.Set("Sec-Fetch-Site", "same-origin")
					recorder := httptest.NewRecorder()
					handler.ServeHTTP(recorder, r)
					if recorder.Code == http.StatusForbidden {
						t.Errorf("%s %s: got 403 %s", method, path, recorder.Body)
					}
					if got := recorder.Header().Get("X-Content-Type-Options"); got != "nosniff" {
						t.Errorf("%s %s: got X-Content-Type-Options %q, want nosniff", method, path, got)
					}
				}
			}
		})
	}
}

func TestRefusalNamesTheHost(t *testing.T) {
	t.Parallel()
	served := serve(t, &servertest.Engine{})
	r := request(t, http.MethodPost, served.url+"/singularity.v1.RunService/ListRuns", strings.NewReader("{}"))
	r.Host = "evil.example"
	got := decodeError(t, served.do(t, r).body)
	if got.Code != "permission_denied" || !strings.Contains(got.Message, `"evil.example"`) || !strings.Contains(got.Message, "127.0.0.1") {
		t.Errorf("got %+v, want permission_denied with the host and those that are served", got)
	}
}

const bodyLimit = 3<<20 + 64<<10

func TestBodiesAreCapped(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, contentType string
		size              int
		chunked           bool
		status            int
	}{
		{"at the limit", "application/json", bodyLimit, false, 200},
		{"beyond the limit", "application/json", bodyLimit + 1, false, 413},
		{"chunked at the limit", "application/json", bodyLimit, true, 200},
		{"chunked beyond the limit", "application/json", bodyLimit + 1, true, 413},
		{"gRPC has its statuses inside", "application/grpc+proto", bodyLimit + 1, false, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			handler := server.Handler(&servertest.Engine{}, server.Config{})
			document := append([]byte("{}"), bytes.Repeat([]byte(" "), test.size-2)...)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/singularity.v1.RunService/ListRuns", bytes.NewReader(document))
			r.Header.Set("Content-Type", test.contentType)
			if test.chunked {
				r.ContentLength = -1
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, r)
			if recorder.Code != test.status {
				t.Errorf("got %d %s, want %d", recorder.Code, recorder.Body, test.status)
			}
			if test.status == http.StatusRequestEntityTooLarge {
				got := decodeError(t, recorder.Body.Bytes())
				if got.detail.GetReason() != messages.ErrorDetail_REASON_TOO_LARGE || got.detail.GetLimit() != bodyLimit || !strings.Contains(got.Message, "1048576") {
					t.Errorf("got %+v, want the limit in the detail and that of an input in the text", got)
				}
			}
		})
	}
}

func TestBodyThatBreaksOffIsRefused(t *testing.T) {
	t.Parallel()
	handler := server.Handler(&servertest.Engine{}, server.Config{})
	broken := io.MultiReader(strings.NewReader("{"), brokenReader{})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/singularity.v1.RunService/ListRuns", broken)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	if recorder.Code != http.StatusBadRequest {
		t.Errorf("got %d, want 400", recorder.Code)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
