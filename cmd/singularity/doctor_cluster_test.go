package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/cluster/certs"
	"singularity/cluster/gossip"
	"singularity/internal/testcerts"
	"singularity/internal/testport"
	"singularity/internal/testpostgres"
)

// anyPorts are addresses that no other test wants.
var anyPorts = []string{"--gossip", "127.0.0.1:0", "--actors", "127.0.0.1:0"}

// portOf listens by TCP at a free port until the test ends.
func portOf(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// well asks the doctor again until nothing is wrong, as nodes on a busy machine
// may not answer it in time, and returns what it finds.
func well(t *testing.T, consult func() (code int, findings map[string]finding, stderr string)) (findings map[string]finding) {
	t.Helper()
	eventually(t, func() bool {
		code, found, stderr := consult()
		findings = found
		t.Logf("the doctor ends with %d, and says %q", code, stderr)
		return code == exitDone
	})
	return findings
}

func TestDoctorReachesTheNodesThatRun(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := startNode(t, database, "a", anyPorts...)
	startNode(t, database, "b", anyPorts...)
	at := a.members(t)["a"]
	findings := well(t, func() (int, map[string]finding, string) {
		return consultOn(t, database, "--http", strings.TrimPrefix(a.URL, "http://"), "--gossip", at.Gossip, "--actors", at.Actors)
	})
	holder := fmt.Sprintf("node a (process %d on ", a.PID)
	for check, want := range map[string]string{
		"gossip": holder, "actors": holder, "address": "a node answers", "members": "2 of 2 nodes that live are reached",
	} {
		if found := findings[check]; !found.OK || !strings.Contains(found.Detail, want) {
			t.Errorf("%s: got %+v, want it good, with %q", check, found, want)
		}
	}
	if again := a.members(t); len(again) != 2 {
		t.Errorf("got members %v, want that the doctor is none", again)
	}
	if refused := a.metric(t, "singularity_cluster_refused_peers_total"); refused != "0" {
		t.Errorf("the node refused %s peers, want that it did not mind the doctor", refused)
	}
}

// Without --cluster both make the same name of the database, and others another.
func TestDoctorReachesANodeWhoseClusterNobodyNamed(t *testing.T) {
	t.Parallel()
	database, other := testpostgres.URL(t), testpostgres.URL(t)
	for _, url := range []string{database, other} {
		startProcessOf(t, []string{"DATABASE_URL=" + url, "INSTANCE_ID=a"}, "node", anyPorts...)
	}
	for _, url := range []string{database, other} {
		findings := well(t, func() (int, map[string]finding, string) {
			return consult(t, append([]string{"--database-url", url}, anyPorts...)...)
		})
		if found := findings["members"]; !found.OK || !strings.Contains(found.Detail, "1 of 1") {
			t.Errorf("got %+v, want the node reached", found)
		}
	}
	_, findings, _ := consult(t, append([]string{"--database-url", database, "--cluster", "singularity"}, anyPorts...)...)
	if found := findings["members"]; found.OK || !strings.Contains(found.Detail, "--cluster is another") {
		t.Errorf("got %+v, want a cluster of another name refused", found)
	}
}

func TestDoctorReachesNodesThatAreSecured(t *testing.T) {
	t.Parallel()
	database, dir := testpostgres.URL(t), t.TempDir()
	keys, tls := filepath.Join(dir, "keys"), filepath.Join(dir, "tls")
	writeKeys(t, keys)
	makeIdentity(t, tls, "127.0.0.1")
	secrets := append([]string{"--gossip-key-file", keys, "--tls-dir", tls}, anyPorts...)
	startNode(t, database, "a", secrets...)

	findings := well(t, func() (int, map[string]finding, string) {
		return consultOn(t, database, secrets...)
	})
	for check, want := range map[string]string{
		"gossip keys": "fingerprint", "node certificate": "of the cluster test, for 127.0.0.1", "members": "1 of 1",
	} {
		if found := findings[check]; !found.OK || !strings.Contains(found.Detail, want) {
			t.Errorf("%s: got %+v, want it good, with %q", check, found, want)
		}
	}

	others := filepath.Join(dir, "others")
	writeKeys(t, others)
	strangers := filepath.Join(dir, "strangers")
	makeIdentity(t, strangers, "127.0.0.1")
	for name, test := range map[string]struct {
		keys, tls, want string
	}{
		"other keys":        {others, tls, "but not by UDP"},
		"another authority": {keys, strangers, "certificates of one authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--gossip-key-file", test.keys, "--tls-dir", test.tls}, anyPorts...)
			code, findings, _ := consultOn(t, database, args...)
			found := findings["members"]
			if code != exitRefused || found.OK || !strings.Contains(found.Detail, "0 of 1") || !strings.Contains(found.Detail, test.want) {
				t.Errorf("got exit code %d, %+v, want a fault with %q", code, found, test.want)
			}
		})
	}
}

func writeKeys(t *testing.T, file string) {
	t.Helper()
	if err := gossip.WriteKeyFile(file, []gossip.Key{gossip.NewKey()}); err != nil {
		t.Fatal(err)
	}
}

// makeIdentity makes the certificate of a node, of an authority of its own.
func makeIdentity(t *testing.T, dir, host string) {
	t.Helper()
	authority := t.TempDir()
	if err := certs.Init(authority, "test"); err != nil {
		t.Fatal(err)
	}
	if err := certs.Node(authority, dir, host); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorNamesEachFaultBetweenNodes(t *testing.T) {
	t.Parallel()
	database, dir := testpostgres.URL(t), t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := gossip.NewKey().Encode() + "\n"
	keys, exposed, broken := file("keys", key, 0o600), file("exposed", key, 0o644), file("broken", key+"c2hvcnQ=\n", 0o600)
	foreign, waning := filepath.Join(dir, "foreign"), filepath.Join(dir, "waning")
	makeIdentity(t, foreign, "10.1.2.3")
	if err := os.Mkdir(waning, 0o700); err != nil {
		t.Fatal(err)
	}
	testcerts.NewAuthority(t).Write(t, waning, time.Now().Add(24*time.Hour))
	mixed := filepath.Join(dir, "mixed")
	makeIdentity(t, mixed, "127.0.0.1")
	if err := os.WriteFile(filepath.Join(mixed, "ca.crt"), []byte(readFile(t, filepath.Join(foreign, "ca.crt"))), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, elsewhere := portOf(t), portOf(t)
	tests := []struct {
		name  string
		args  []string
		check string
		want  string
	}{
		{"gossip is taken", []string{"--gossip", taken}, "gossip", "--gossip: " + taken + " is in use by TCP, and no node"},
		{"actors are taken", []string{"--actors", taken}, "actors", "--actors: " + taken + " is in use by TCP, and no node"},
		{"no address of this machine", []string{"--gossip", "192.0.2.1:0", "--gossip-key-file", keys}, "gossip", "192.0.2.1"},
		{"gossip beyond loopback without keys", []string{"--gossip", "0.0.0.0:0"}, "gossip", "--gossip-key-file"},
		{"actors beyond loopback without certificates", []string{"--actors", "0.0.0.0:7947", "--actors-advertise", "10.1.2.3:7947"}, "actors", "--tls-dir"},
		{"others are told of another place", []string{"--actors", freeAddress(t), "--actors-advertise", elsewhere}, "actors", "--actors-advertise: others are told " + elsewhere},
		{"others are told of no place", []string{"--gossip", freeAddress(t), "--gossip-advertise", freeAddress(t)}, "gossip", "--gossip-advertise: others are told"},
		{"no keys", []string{"--gossip-key-file", filepath.Join(dir, "none")}, "gossip keys", "none"},
		{"a key is malformed", []string{"--gossip-key-file", broken}, "gossip keys", "line 2"},
		{"others can read the keys", []string{"--gossip-key-file", exposed}, "gossip keys", "chmod 600"},
		{"certificate for another address", []string{"--tls-dir", foreign}, "node certificate", "certs node 127.0.0.1"},
		{"certificate of another authority", []string{"--tls-dir", mixed}, "node certificate", "is not good under"},
		{"certificate ends soon", []string{"--tls-dir", waning}, "certificate", "less than 14 days away"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, findings, stderr := consultOn(t, database, append(append([]string{}, anyPorts...), test.args...)...)
			if code != exitRefused || !strings.Contains(stderr, test.check+": ") {
				t.Errorf("got exit code %d, stderr %q; want 1 and %q named", code, stderr, test.check)
			}
			if found := findings[test.check]; found.OK || !strings.Contains(found.Detail, test.want) {
				t.Errorf("got %+v, want a fault with %q", found, test.want)
			}
		})
	}
}

// freeAddress is one at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := testport.Free(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestDoctorAcceptsAnAdvertisedAddressThatLeadsHere(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, keys)
	free := freeAddress(t)
	_, number, _ := net.SplitHostPort(free)
	code, findings, stderr := consultOn(t, testpostgres.URL(t), "--gossip-key-file", keys,
		"--gossip", "0.0.0.0:0", "--gossip-advertise", "127.0.0.1:0", "--actors", free, "--actors-advertise", "localhost:"+number)
	if code != exitDone {
		t.Errorf("got exit code %d, stderr %q", code, stderr)
	}
	for check, want := range map[string]string{"gossip": "leads there, by TCP and UDP", "actors": "localhost:" + number + " leads there, by TCP"} {
		if found := findings[check]; !found.OK || !strings.Contains(found.Detail, want) {
			t.Errorf("%s: got %+v, want it good, with %q", check, found, want)
		}
	}
}

// pretend puts a node into the registry that is not there.
const pretend = `
INSERT INTO singularity.node_leases (boot, instance_id, hostname, pid, version, lease_until, lock_key, created_at, gossip_address, actors_address)
VALUES ('b-1', 'ghost', '%s', 1, '', now() + interval '1 hour', 1, now(), %s, %s)`

func TestDoctorSaysWhyALivingNodeIsNotReached(t *testing.T) {
	t.Parallel()
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		hostname, address string
		ok                bool
		want              string
	}{
		"nobody listens":            {here, freeAddress(t), false, "nobody listens at"},
		"on loopback of another":    {"elsewhere", freeAddress(t), false, "on this machine, " + here + ", is another place; start it with --gossip"},
		"somebody else listens":     {here, portOf(t), false, "but not by UDP"},
		"program without a cluster": {here, "", true, "have no address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database, address := testpostgres.URL(t), "NULL"
			if test.address != "" {
				address = "'" + test.address + "'"
			}
			execute(t, database, fmt.Sprintf(pretend, test.hostname, address, address))
			code, findings, _ := consultOn(t, database, anyPorts...)
			found := findings["members"]
			if found.OK != test.ok || (code == exitDone) != test.ok || !strings.Contains(found.Detail, "ghost") || !strings.Contains(found.Detail, test.want) {
				t.Errorf("got exit code %d, %+v; want %q", code, found, test.want)
			}
		})
	}
}

func TestDoctorLetsANodeMigrate(t *testing.T) {
	t.Parallel()
	code, findings, stderr := consultOn(t, testpostgres.Empty(t), "--migrate")
	if found := findings["schema"]; code != exitDone || !strings.Contains(found.Detail, "--migrate brings it to") {
		t.Errorf("got exit code %d, %+v, stderr %q", code, found, stderr)
	}
}
