package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/server"
	"singularity/server/servertest"
	"singularity/server/tokens"
)

// guarded is an API that asks for tokens.
type guarded struct {
	engine  *servertest.Engine
	store   *memory.Store
	handler http.Handler
}

func guard(engine *servertest.Engine) guarded {
	g := guarded{engine: engine, store: memory.New()}
	quiet := slog.New(slog.DiscardHandler)
	g.handler = server.Handler(g.engine, server.Config{Logger: quiet, Tokens: tokens.NewVerifier(g.store, quiet)})
	return g
}

// mint stores a token of a scope.
func (g guarded) mint(t *testing.T, scope persistence.TokenScope, expires *time.Time) (text, id string) {
	t.Helper()
	text, token := tokens.Mint()
	token.Scope, token.CreatedAt, token.ExpiresAt = scope, time.Now(), expires
	if err := g.store.CreateToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	return text, token.ID
}

func (g guarded) revoke(t *testing.T, id string) {
	t.Helper()
	if _, err := g.store.RevokeToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// ask calls a path with the values of a header Authorization.
func (g guarded) ask(t *testing.T, method, path, contentType string, authorization ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://node-7.example:4000"+path, strings.NewReader("{}"))
	r.Header.Set("Content-Type", contentType)
	r.Header["Authorization"] = authorization
	recorder := httptest.NewRecorder()
	g.handler.ServeHTTP(recorder, r)
	return recorder
}

// neededScopes are what the routes ask for, said a second time on purpose.
var neededScopes = map[string]persistence.TokenScope{
	"/livez":                                        "",
	"/readyz":                                       "",
	"/metrics":                                      "read",
	"/":                                             "read",
	"/singularity.v1.RunService/StartRun":           "run",
	"/singularity.v1.RunService/StartRuns":          "run",
	"/singularity.v1.RunService/GetRun":             "read",
	"/singularity.v1.RunService/ListRuns":           "read",
	"/singularity.v1.RunService/WatchRun":           "read",
	"/singularity.v1.RunService/CancelRun":          "run",
	"/singularity.v1.RunService/RetryRun":           "run",
	"/singularity.v1.RunService/ScoreRun":           "run",
	"/singularity.v1.RunService/CancelRuns":         "run",
	"/singularity.v1.RunService/RetryRuns":          "run",
	"/singularity.v1.RunService/ListSteps":          "read",
	"/singularity.v1.RunService/GetBatch":           "read",
	"/singularity.v1.RunService/CloseBatch":         "run",
	"/singularity.v1.WorkflowService/ListWorkflows": "read",
	"/singularity.v1.WorkflowService/GetWorkflow":   "read",
	"/singularity.v1.ActorService/Send":             "run",
	"/singularity.v1.ActorService/GetActorTree":     "read",
	"/singularity.v1.AgentService/ListAgents":       "read",
	"/singularity.v1.AgentService/Attach":           "run",
	"/singularity.v1.AgentService/Acknowledge":      "run",
	"/singularity.v1.QueueService/ListQueues":       "read",
	"/singularity.v1.QueueService/PauseQueue":       "admin",
	"/singularity.v1.QueueService/ResumeQueue":      "admin",
	"/singularity.v1.QueueService/SetQueue":         "admin",
	"/singularity.v1.ClusterService/ListMembers":    "read",
	"/singularity.v1.ClusterService/ListTakeovers":  "read",
	"/singularity.v1.ClusterService/DrainNode":      "admin",
	"/singularity.v1.ClusterService/ListKeys":       "admin",
	"/singularity.v1.ClusterService/AddKey":         "admin",
	"/singularity.v1.ClusterService/UseKey":         "admin",
	"/singularity.v1.ClusterService/RemoveKey":      "admin",
	"/nowhere":                                        "none suffices",
	"/singularity.v1.RunService/Unheard":              "none suffices",
	"/singularity.v1.RunService/":                     "none suffices",
	"/singularity.v1.RunService/StartRun/":            "none suffices",
	"/metrics/":                                       "none suffices",
	"//metrics":                                       "none suffices",
	"/livez/../singularity.v1.RunService/ListRuns":    "none suffices",
	"/livez/%2e%2e/singularity.v1.RunService/GetRun":  "none suffices",
	"/singularity.v1.RunService%2fStartRun/../GetRun": "none suffices",
}

func TestEveryRouteWithEveryKindOfToken(t *testing.T) {
	t.Parallel()
	for _, path := range routes() {
		if _, ok := neededScopes[path]; !ok {
			t.Errorf("%s is not in this test", path)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		g := guard(engineWithAll())
		soon := time.Now().Add(time.Second)
		kinds := map[string]string{"none": "", "garbage": "sgt_x"}
		for _, scope := range persistence.TokenScopes {
			kinds[string(scope)], _ = g.mint(t, scope, nil)
		}
		kinds["expired"], _ = g.mint(t, persistence.ScopeAdmin, &soon)
		revoked, id := g.mint(t, persistence.ScopeAdmin, nil)
		kinds["revoked"] = revoked
		kinds["unknown"], _ = tokens.Mint()
		g.revoke(t, id)
		<-time.After(time.Minute)

		for path, needed := range neededScopes {
			for kind, token := range kinds {
				got := g.ask(t, methodOf(path), path, "application/json", "Bearer "+token)
				if kind == "none" {
					got = g.ask(t, methodOf(path), path, "application/json")
				}
				switch want := refusalOf(needed, kind); {
				case want == 0 && (got.Code == 401 || got.Code == 403 || got.Code == 404 && strings.Contains(got.Body.String(), "nothing is served")):
					t.Errorf("%s with token %s: got %d %s, want an answer", path, kind, got.Code, got.Body)
				case want != 0 && got.Code != want:
					t.Errorf("%s with token %s: got %d %s, want %d", path, kind, got.Code, got.Body, want)
				case want == 401 || want == 403:
					wantChallenge(t, path+" with token "+kind, got, needed)
				}
			}
		}
	})
}

func methodOf(path string) string {
	if strings.Count(path, "/") == 1 {
		return http.MethodGet
	}
	return http.MethodPost
}

// refusalOf is the status of the refusal, 0 for none.
func refusalOf(needed persistence.TokenScope, kind string) int {
	scope := persistence.TokenScope(kind)
	switch {
	case needed == "none suffices":
		return http.StatusNotFound
	case needed == "":
		return 0
	case !slices.Contains(persistence.TokenScopes, scope):
		return http.StatusUnauthorized
	case !scope.Covers(needed):
		return http.StatusForbidden
	default:
		return 0
	}
}

// wantChallenge expects a refusal to say what is missing, to people and to
// programs.
func wantChallenge(t *testing.T, what string, got *httptest.ResponseRecorder, needed persistence.TokenScope) {
	t.Helper()
	challenge, message := got.Header().Get("WWW-Authenticate"), decodeError(t, got.Body.Bytes()).Message
	if !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(message, "token") {
		t.Errorf("%s: got challenge %q, message %q", what, challenge, message)
	}
	if got.Code == 403 && (!strings.Contains(challenge, `scope="`+string(needed)+`"`) || !strings.Contains(message, "scope "+string(needed))) {
		t.Errorf("%s: got challenge %q, message %q; want the scope %s", what, challenge, message, needed)
	}
}

func TestNoMethodGetsByWithoutAToken(t *testing.T) {
	t.Parallel()
	g := guard(engineWithAll())
	for path, needed := range neededScopes {
		for _, method := range everyMethod {
			if got := g.ask(t, method, path, "application/json").Code; needed != "" && got != http.StatusUnauthorized && got != http.StatusNotFound {
				t.Errorf("%s %s: got %d, want 401", method, path, got)
			}
		}
	}
}

func TestRefusedCallsHaveNoEffect(t *testing.T) {
	t.Parallel()
	g := guard(engineWithAll())
	read, _ := g.mint(t, persistence.ScopeRead, nil)
	for _, authorization := range [][]string{nil, {"Bearer " + read}} {
		for path := range neededScopes {
			g.ask(t, http.MethodPost, path, "application/proto", authorization...)
		}
	}
	if g.engine.Starts() != nil || g.engine.Sent() != nil || g.engine.Acknowledged() != nil || g.engine.KeyChanges() != nil {
		t.Errorf("got starts %v, messages %v, acknowledgements %v, changes of keys %v; want none",
			g.engine.Starts(), g.engine.Sent(), g.engine.Acknowledged(), g.engine.KeyChanges())
	}
}

func TestRefusalsReadTheSameWhateverIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := guard(engineWithAll())
		good, _ := g.mint(t, persistence.ScopeAdmin, nil)
		revoked, id := g.mint(t, persistence.ScopeAdmin, nil)
		g.revoke(t, id)
		unknown, _ := tokens.Mint()
		wrong := good[:15] + unknown[15:]
		var want string
		for i, token := range []string{unknown, wrong, revoked, "garbage", ""} {
			got := g.ask(t, http.MethodPost, "/singularity.v1.RunService/ListRuns", "application/json", "Bearer "+token)
			answer := got.Header().Get("WWW-Authenticate") + got.Body.String()
			if i == 0 {
				want = answer
			}
			if answer != want || strings.Contains(answer, good[:14]) {
				t.Errorf("got %s, want %s", answer, want)
			}
		}
	})
}

func TestTokensComeInOneHeader(t *testing.T) {
	t.Parallel()
	g := guard(engineWithAll())
	token, _ := g.mint(t, persistence.ScopeRead, nil)
	tests := []struct {
		authorization []string
		want          int
	}{
		{[]string{"Bearer " + token}, 200},
		{[]string{"bearer  " + token}, 200},
		{[]string{"Basic " + token}, 401},
		{[]string{token}, 401},
		{[]string{"Bearer " + token, "Bearer " + token}, 401},
		{[]string{"Bearer"}, 401},
	}
	for _, test := range tests {
		if got := g.ask(t, http.MethodPost, "/singularity.v1.RunService/ListRuns", "application/json", test.authorization...).Code; got != test.want {
			t.Errorf("%d values, %.8s…: got %d, want %d", len(test.authorization), test.authorization[0], got, test.want)
		}
	}
}

func TestGRPCIsRefusedInItsOwnWords(t *testing.T) {
	t.Parallel()
	got := guard(engineWithAll()).ask(t, http.MethodPost, "/singularity.v1.RunService/ListRuns", "application/grpc")
	header, trailer := got.Result().Header, got.Result().Trailer
	if status := header.Get("Grpc-Status") + trailer.Get("Grpc-Status"); got.Code != 200 || status != "16" {
		t.Errorf("got %d, grpc-status %q; want 200 and 16", got.Code, status)
	}
}

func TestPagesOfOtherOriginsAreRefusedWithTokensToo(t *testing.T) {
	t.Parallel()
	g := guard(engineWithAll())
	token, _ := g.mint(t, persistence.ScopeAdmin, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://node-7.example/singularity.v1.RunService/ListRuns", strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "https://evil.example")
	recorder := httptest.NewRecorder()
	g.handler.ServeHTTP(recorder, r)
	if recorder.Code != http.StatusForbidden {
		t.Errorf("got %d, want 403", recorder.Code)
	}
}

func TestRevocationEndsStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := guard(unended())
		token, id := g.mint(t, persistence.ScopeRead, nil)
		listener := newPipeListener()
		served := serveOn(t, listener, g.handler)
		transport := listener.transport(false)
		defer transport.CloseIdleConnections()
		stream := watch(t, "http://localhost", &http.Client{Transport: authorized{token, transport}, Timeout: 2 * time.Hour})
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}

		<-time.After(time.Hour)
		g.revoke(t, id)
		begin := time.Now()

		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated {
			t.Errorf("got %v, want unauthenticated", stream.Err())
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the stream ended after %s, want 5s at most", took)
		}
		_ = stream.Close()
		served.stop()
		if err := <-served.result; err != nil {
			t.Error(err)
		}
	})
}

// authorized shows a token with each request.
type authorized struct {
	token string
	http.RoundTripper
}

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.token)
	return a.RoundTripper.RoundTrip(r)
}

// transport connects to the listener, by HTTP/1.1 or by HTTP/2.
func (l *pipeListener) transport(two bool) *http.Transport {
	transport := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil },
	}
	transport.Protocols.SetHTTP1(!two)
	transport.Protocols.SetUnencryptedHTTP2(two)
	return transport
}
