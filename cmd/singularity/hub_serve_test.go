package main

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"singularity/centralcloud/pgmq"
	"singularity/internal/testcerts"
	"singularity/internal/testpostgres"
)

// startHub starts a hub alone as a process, and waits until it is ready.
func startHub(t *testing.T, database string, args ...string) process {
	t.Helper()
	return startProcessOf(t, []string{"DATABASE_URL=" + database}, "centralcloud", append([]string{"--provider", "simulated"}, args...)...)
}

// get is how a process answers a path.
func (p process) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path, http.NoBody)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	must(t, err)
	return response.StatusCode, string(text)
}

func TestHubTellsHowItFares(t *testing.T) {
	t.Parallel()
	hub := startHub(t, testpostgres.Empty(t), "--migrate")
	eventually(t, func() bool { status, _ := hub.get(t, "/readyz"); return status == http.StatusOK })
	for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "ready\n"} {
		if status, body := hub.get(t, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	eventually(t, func() bool { return hub.metric(t, "singularity_hub_leads") == "1" })
	for _, path := range []string{"/", "/singularity.v1.RunService/ListRuns"} {
		if status, _ := hub.get(t, path); status != http.StatusNotFound {
			t.Errorf("%s: %d, want nothing there", path, status)
		}
	}
	hub.signal(t, syscall.SIGTERM)
	if err := hub.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestHubWantsTLSAndTokensBeyondLoopback(t *testing.T) {
	t.Parallel()
	nodes, own := testpostgres.URL(t), testpostgres.Empty(t)
	_, err := pgmq.MigrateUp(t.Context(), own)
	must(t, err)
	certificates := testcerts.NewAuthority(t).Node(t)
	beyond := []string{"centralcloud", "--http", "0.0.0.0:0", "--centralcloud-database-url", own}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{beyond, exitRefused, "--tls-dir"},
		{append(beyond, "--tls-dir", certificates), exitUsage, "give --database-url as well"},
		{append(beyond, "--tls-dir", certificates, "--database-url", testpostgres.Empty(t)), exitRefused, "migrate up"},
	} {
		if got := at("", test.args...).run(withTimeout(t)); got.code != test.code || !strings.Contains(got.stderr, test.says) {
			t.Errorf("%v: %+v, want exit code %d and %q", test.args, got, test.code, test.says)
		}
	}
	hub := startHub(t, nodes, "--http", "0.0.0.0:0", "--tls-dir", certificates, "--centralcloud-database-url", own)
	secure := secured{process: hub, env: clientOf(t, hub, certificates)}
	token, _ := createToken(t, map[string]string{"DATABASE_URL": nodes}, "--scope", "read")
	for _, test := range []struct {
		path, token string
		want        int
	}{
		{"/livez", "", http.StatusOK},
		{"/metrics", "", http.StatusUnauthorized},
		{"/metrics", token, http.StatusOK},
	} {
		if status := secure.status(t, test.path, test.token); status != test.want {
			t.Errorf("%s with the token %q: %d, want %d", test.path, test.token, status, test.want)
		}
	}
}

func TestNodeTakesPartInTheHubOfItsDatabaseOnceThereIsOne(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	node := startNode(t, database, "early", often...)
	if got := at(node.URL, "send", "sync", "flush").run(t.Context()); got.code != exitUnknown || !strings.Contains(got.stderr, "this node has no hub") {
		t.Errorf("without a hub: %+v", got)
	}
	node.ask(t, "math", 3)
	startHub(t, database, "--migrate", "--learn-every", "50ms")
	late := startNode(t, database, "late", often...)
	for _, p := range []process{node, late} {
		p.awaitPolicy(t)
	}
	hub := []string{"--database-url", database}
	eventually(t, func() bool { return calls(t, "math", hub...) == 3 }) // made before there was a hub
}

func TestNodeIsAHubInItsOwnDatabase(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	node := startNode(t, database, "both", append(often, "--centralcloud", "--migrate", "--learn-every", "50ms")...)
	node.ask(t, "math", 3)
	eventually(t, func() bool { return calls(t, "math", "--database-url", database) == 3 })
	eventually(t, func() bool { return node.metric(t, "singularity_hub_leads") == "1" })
}
