package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/internal/testcerts"
	"singularity/internal/testpostgres"
	"singularity/server"
	"singularity/server/servertest"
)

// secured is a node with TLS, as a process.
type secured struct {
	process
	env    map[string]string // of clients, but for a token
	tokens map[string]string // says where tokens are
}

// startSecured starts dev, or a node on a database, with TLS.
func startSecured(t *testing.T, http, database string, args ...string) secured {
	t.Helper()
	certificates := testcerts.NewAuthority(t).Node(t)
	data := filepath.Join(t.TempDir(), "data")
	s := secured{tokens: map[string]string{"SINGULARITY_DATA_DIR": data}}
	args = append(args, "--http", http, "--tls-dir", certificates)
	if database == "" {
		s.process = startProcess(t, append(args, "--data-dir", data)...)
	} else {
		s.tokens = map[string]string{"DATABASE_URL": database}
		s.process = startNode(t, database, "a", args...)
	}
	s.env = clientOf(t, s.process, certificates)
	return s
}

// clientOf is the environment of clients of a process with TLS.
func clientOf(t *testing.T, p process, certificates string) map[string]string {
	t.Helper()
	at, err := url.Parse(p.URL)
	if err != nil || at.Scheme != "https" {
		t.Fatalf("got URL %q (%v), want https", p.URL, err)
	}
	return map[string]string{
		"SINGULARITY_ADDRESS": "https://127.0.0.1:" + at.Port(), // which the certificate is for
		"SINGULARITY_CA_FILE": filepath.Join(certificates, "ca.crt"),
	}
}

// run calls the node with a token, unless that is empty.
func (s secured) run(ctx context.Context, token string, args ...string) result {
	env := s.env
	if token != "" {
		env = with(env, map[string]string{"SINGULARITY_TOKEN": token})
	}
	return call{args: args, env: env}.run(ctx)
}

// client trusts the node.
func (s secured) client(t *testing.T) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(readFile(t, s.env["SINGULARITY_CA_FILE"])))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// status is how the node answers a GET.
func (s secured) status(t *testing.T, path, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.env["SINGULARITY_ADDRESS"]+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

const embeddingInput = `{"query_id":"q1","query":"hello"}`

func TestNodeBeyondLoopbackAsksForTokens(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"dev": "", "node": testpostgres.URL(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSecured(t, "0.0.0.0:0", database, "--simulated-latency", "1h")
			if got := s.run(t.Context(), "", "run", "list"); got.code != exitRefused || !strings.Contains(got.stderr, "token create") || !strings.Contains(got.stderr, "SINGULARITY_TOKEN") {
				t.Errorf("without a token: got %+v, want what to do", got)
			}

			// The node is there already, and has the database.
			read, readID := createToken(t, s.tokens, "--scope", "read")
			may, _ := createToken(t, s.tokens, "--scope", "run")
			if got := s.run(t.Context(), read, "run", "list"); got.code != exitDone {
				t.Errorf("with a new token: got %+v", got)
			}
			if got := s.run(t.Context(), read, "run", "start", "embedding", "--input", embeddingInput); got.code != exitRefused || !strings.Contains(got.stderr, "scope run") {
				t.Errorf("with too small a scope: got %+v, want the scope that is needed", got)
			}
			if got := s.run(t.Context(), may, "run", "start", "embedding", "--wait", "-o", "json", "--input", embeddingInput); got.code != exitDone {
				t.Errorf("with a token of scope run: got %+v", got)
			}
			for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 401} {
				if got := s.status(t, path, ""); got != want {
					t.Errorf("%s without a token: got %d, want %d", path, got, want)
				}
			}
			if got := s.status(t, "/metrics", read); got != 200 {
				t.Errorf("/metrics with a token: got %d, want 200", got)
			}

			// A stream ends with its token.
			if got := s.run(t.Context(), may, "run", "start", "llm_request", "--id", newRun, "--input", slowRequest); got.code != exitDone {
				t.Fatalf("got %+v", got)
			}
			waiting := background(withTimeout(t), call{args: []string{"run", "wait", newRun}, env: with(s.env, map[string]string{"SINGULARITY_TOKEN": read})})
			revokeToken(t.Context(), t, s.tokens, readID)
			if got := <-waiting; got.code != exitRefused || !strings.Contains(got.stderr, "token") {
				t.Errorf("a wait whose token was revoked: got %+v", got)
			}
			if got := s.run(t.Context(), read, "run", "list"); got.code != exitRefused {
				t.Errorf("with a revoked token: got %+v", got)
			}
			if got := s.run(t.Context(), may, "run", "list"); got.code != exitDone {
				t.Errorf("with the other token: got %+v", got)
			}
		})
	}
}

func TestTLSOnLoopbackNeedsNoToken(t *testing.T) {
	t.Parallel()
	s := startSecured(t, "127.0.0.1:0", "")
	if got := s.run(t.Context(), "", "run", "start", "embedding", "--wait", "-o", "json", "--input", embeddingInput); got.code != exitDone {
		t.Errorf("got %+v", got)
	}
	if got := s.run(t.Context(), "", "run", "list", "--ca-file", ""); got.code != exitUnknown || !strings.Contains(got.stderr, "--ca-file") {
		t.Errorf("of an unknown authority: got %+v, want the flag", got)
	}
	elsewhere := strings.Replace(s.env["SINGULARITY_ADDRESS"], "127.0.0.1", "127.0.0.2", 1)
	if got := s.run(t.Context(), "", "run", "list", "--address", elsewhere); got.code != exitUnknown || !strings.Contains(got.stderr, "--address") {
		t.Errorf("by another name: got %+v, want the flag", got)
	}
	plain := strings.Replace(s.env["SINGULARITY_ADDRESS"], "https", "http", 1)
	if got := s.run(t.Context(), "", "run", "list", "--address", plain); got.code != exitUnknown || !strings.Contains(got.stderr, "https://") {
		t.Errorf("without TLS: got %+v, want the scheme", got)
	}
	code, findings, stderr := consult(t, "--http", strings.TrimPrefix(s.URL, "https://"), "--tls-dir", filepath.Dir(s.env["SINGULARITY_CA_FILE"]))
	if code != exitDone || !strings.Contains(findings["address"].Detail, "a node answers") || !strings.Contains(findings["certificate"].Detail, "good until") {
		t.Errorf("doctor: got exit code %d, %v, stderr %q", code, findings, stderr)
	}
	s.signal(t, os.Interrupt)
	if err := s.Wait(); err != nil {
		t.Errorf("dev ended with %v, want exit code 0", err)
	}
}

func TestDevWithoutADatabaseCannotAskForTokens(t *testing.T) {
	t.Parallel()
	got := call{args: []string{"dev", "--ephemeral", "--http", "0.0.0.0:0", "--tls-dir", testcerts.NewAuthority(t).Node(t)}}.run(t.Context())
	if got.code != exitUsage || !strings.Contains(got.stderr, "--ephemeral") || !strings.Contains(got.stderr, "--data-dir") {
		t.Errorf("got %+v, want exit code 2 and the flags", got)
	}
}

func TestNodeSaysWhatIsWrongWithItsCertificate(t *testing.T) {
	t.Parallel()
	expired := t.TempDir()
	testcerts.NewAuthority(t).Write(t, expired, time.Now().Add(-time.Hour))
	for dir, want := range map[string]string{expired: "expired", t.TempDir(): "node.crt"} {
		got := call{args: []string{"dev", "--ephemeral", "--http", "127.0.0.1:0", "--tls-dir", dir}}.run(t.Context())
		if got.code != exitRefused || !strings.Contains(got.stderr, "--tls-dir") || !strings.Contains(got.stderr, want) {
			t.Errorf("got %+v, want the flag and %q", got, want)
		}
		code, findings, stderr := consult(t, "--data-dir", filepath.Join(t.TempDir(), "none"), "--tls-dir", dir)
		if found := findings["certificate"]; code != exitRefused || found.OK || !strings.Contains(found.Detail, want) || !strings.Contains(stderr, "certificate: ") {
			t.Errorf("doctor: got exit code %d, %+v, stderr %q; want %q", code, found, stderr, want)
		}
	}
}

func TestClientKeepsTokensOffTheOpenNetwork(t *testing.T) {
	t.Parallel()
	got := at("http://node-7.example:4000", "run", "list", "--token", "sgt_x").run(t.Context())
	if got.code != exitUsage || !strings.Contains(got.stderr, "https://") || strings.Contains(got.stderr, "sgt_x") {
		t.Errorf("got %+v, want exit code 2", got)
	}
	address := serve(t, engineWithAll())
	if got := at(address, "run", "list", "--token", "sgt_x").run(t.Context()); got.code != exitDone {
		t.Errorf("on loopback: got %+v", got)
	}
}

func TestClientSaysWhatIsWrongWithAnAuthority(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, "/no/such/file"} {
		got := call{args: []string{"run", "list", "--ca-file", file}}.run(t.Context())
		if got.code != exitUsage || !strings.Contains(got.stderr, "--ca-file") || !strings.Contains(got.stderr, file) {
			t.Errorf("%s: got %+v, want exit code 2 and the flag", file, got)
		}
	}
}

func TestClientThatExpectsTLSIsToldThatThereIsNone(t *testing.T) {
	t.Parallel()
	listening := httptest.NewServer(server.Handler(&servertest.Engine{}, server.Config{}))
	t.Cleanup(listening.Close)
	got := at(strings.Replace(listening.URL, "http", "https", 1), "run", "list").run(t.Context())
	if got.code != exitUnknown || !strings.Contains(got.stderr, "no TLS") || !strings.Contains(got.stderr, "http://") {
		t.Errorf("got %+v, want exit code 3 and the scheme", got)
	}
}

func TestNodeHangsUpOnThoseWhoDawdle(t *testing.T) {
	t.Parallel()
	s := startSecured(t, "127.0.0.1:0", "")
	host := strings.TrimPrefix(s.env["SINGULARITY_ADDRESS"], "https://")
	tests := map[string]func(*testing.T) net.Conn{
		"before the handshake": func(t *testing.T) net.Conn {
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			return connection
		},
		"in the header": func(t *testing.T) net.Conn {
			config := s.client(t).Transport.(*http.Transport).TLSClientConfig
			connection, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(connection, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
				t.Fatal(err)
			}
			return connection
		},
	}
	for name, connect := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			connection := connect(t)
			defer func() { _ = connection.Close() }()
			if err := connection.SetReadDeadline(begin.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			_, err := io.Copy(io.Discard, connection)
			took := time.Since(begin)
			t.Logf("hung up after %s", took)
			if took < 9*time.Second || os.IsTimeout(err) {
				t.Errorf("hung up after %s (%v), want about 10s", took, err)
			}
		})
	}
}

func TestSecuredNodePrintsForPeople(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	ready := readiness{URL: "https://node-7:4000", Tokens: true, CAFile: "tls/ca.crt"}
	if err := newCLI(nil, &printed, nil, nil).printReady(ready, "data"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"`singularity token create --scope run`", "--address https://node-7:4000 --ca-file tls/ca.crt run start"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("got %q, want %q in it", printed.String(), want)
		}
	}
}
