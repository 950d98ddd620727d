package main

import (
	"os"
	"path/filepath"
	"testing"

	"singularity/cluster/gossip"
	"singularity/internal/testcerts"
	"singularity/internal/testpostgres"
)

// papers are what a node shows to others.
type papers struct{ cluster, keyFile, tlsDir string }

func (p papers) flags() []string {
	flags := []string{"--cluster", p.cluster}
	if p.keyFile != "" {
		flags = append(flags, "--gossip-key-file", p.keyFile)
	}
	if p.tlsDir != "" {
		flags = append(flags, "--tls-dir", p.tlsDir)
	}
	return flags
}

// pings has a node send a message to the dispatcher of another.
func (p papers) pings(t *testing.T, from process, to string) result {
	t.Helper()
	env := map[string]string{"SINGULARITY_ADDRESS": from.URL}
	if p.tlsDir != "" {
		env["SINGULARITY_CA_FILE"] = filepath.Join(p.tlsDir, "ca.crt")
	}
	return call{args: []string{"send", to + "/dispatcher", "ping", "-o", "json"}, env: env}.run(withTimeout(t))
}

func newKeyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(gossip.NewKey().Encode()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Strangers have the database of a cluster, and so its addresses, but not what
// makes a node one of it. Certificates decide who gets messages: a node that the
// gossip does not let in is still reached at the address that is registered.
func TestStrangersAreToldWhyAndTheClusterGoesOn(t *testing.T) {
	t.Parallel()
	authority := testcerts.NewAuthority(t)
	home := papers{cluster: "home", keyFile: newKeyFile(t), tlsDir: authority.Node(t)}
	tests := map[string]struct {
		shows papers
		says  []string // of the stranger, in one line of its log
		code  int      // of messages to and from the stranger
	}{
		"another key":                        {papers{home.cluster, newKeyFile(t), home.tlsDir}, []string{"was not joined", "other keys"}, exitDone},
		"no key":                             {papers{home.cluster, "", home.tlsDir}, []string{"was not joined", "other keys"}, exitDone},
		"another name of the cluster":        {papers{"away", home.keyFile, home.tlsDir}, []string{"was not joined", "another cluster name"}, exitDone},
		"a certificate of another authority": {papers{home.cluster, home.keyFile, testcerts.NewAuthority(t).Node(t)}, []string{"certificate", "--tls-dir"}, exitUnknown},
		"no certificate":                     {papers{home.cluster, home.keyFile, ""}, []string{"certificate", "--tls-dir"}, exitUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testpostgres.URL(t)
			a, b := startNode(t, database, "a", home.flags()...), startNode(t, database, "b", home.flags()...)
			reach := func(from process, to string) bool { return home.pings(t, from, to).code == exitDone }
			eventually(t, func() bool { return reach(a, "b") && reach(b, "a") })

			stranger := startNode(t, database, "stranger", test.shows.flags()...)
			eventually(t, func() bool { return stranger.log.has(test.says...) })

			if got := test.shows.pings(t, stranger, "a"); got.code != test.code {
				t.Errorf("a message of the stranger to a: %+v, want exit code %d", got, test.code)
			}
			if got := home.pings(t, a, "stranger"); got.code != test.code {
				t.Errorf("a message to the stranger: %+v, want exit code %d", got, test.code)
			}
			if !reach(a, "b") || !reach(b, "a") {
				t.Errorf("the nodes of the cluster do not reach each other any more: %+v, %+v", home.pings(t, a, "b"), home.pings(t, b, "a"))
			}
		})
	}
}
