package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"singularity/cluster/gossip"
	"singularity/internal/testpostgres"
	"singularity/messages"
	"singularity/server/servertest"
	"singularity/workflow"
)

// alike has nodes that have the same keys.
func alike() *servertest.Engine {
	return &servertest.Engine{KeyList: []*messages.NodeKeys{
		{InstanceId: "node-1", Boot: newRun, Primary: "0a1b2c3d", Others: []string{"4e5f6071"}},
		{InstanceId: "node-2", Boot: missingRun, Primary: "0a1b2c3d", Others: []string{"4e5f6071"}},
	}}
}

// keyFile is a new file with keys.
func keyFile(t *testing.T, keys ...gossip.Key) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "keys")
	if err := gossip.WriteKeyFile(name, keys); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestKeyIsAddedFromAFileOrFromStdin(t *testing.T) {
	t.Parallel()
	key := gossip.NewKey()
	for name, add := range map[string]call{
		"file":  {args: []string{"cluster", "keys", "add", keyFile(t, key)}},
		"stdin": {args: []string{"cluster", "keys", "add", "-"}, stdin: key.Encode() + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := alike()
			add.env = map[string]string{"SINGULARITY_ADDRESS": serve(t, engine)}
			got := add.run(t.Context())
			if got.code != exitDone || got.stderr != "next: `singularity cluster keys use "+key.String()+"`\n" || strings.Contains(got.stdout, key.Encode()) {
				t.Errorf("got %+v", got)
			}
			if changes := engine.KeyChanges(); !slices.Equal(changes, []string{"add " + key.Encode()}) {
				t.Errorf("the node was asked for %d changes, want the key once", len(changes))
			}
		})
	}
}

func TestGeneratedKeyIsKeptInAFileAndNotShown(t *testing.T) {
	t.Parallel()
	engine := alike()
	address, name := serve(t, engine), filepath.Join(t.TempDir(), "new.key")
	got := at(address, "cluster", "keys", "add", "--generate", name).run(t.Context())
	keys, err := gossip.ReadKeyFile(name)
	if err != nil || len(keys) != 1 || !slices.Equal(engine.KeyChanges(), []string{"add " + keys[0].Encode()}) {
		t.Fatalf("the file has %v, %v; want the key that the node has got", keys, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v; want its mode 0600", info.Mode(), err)
	}
	if got.code != exitDone || !strings.Contains(got.stderr, "key "+keys[0].String()+" is in "+name) || strings.Contains(got.stdout+got.stderr, keys[0].Encode()) {
		t.Errorf("got %+v, want where the key is", got)
	}

	again := at(address, "cluster", "keys", "add", "--generate", name).run(t.Context())
	if again.code != exitUsage || !strings.Contains(again.stderr, name+" is there already") {
		t.Errorf("the second time: got %+v, want a refusal", again)
	}
	if kept, err := gossip.ReadKeyFile(name); err != nil || !slices.Equal(kept[0], keys[0]) || len(engine.KeyChanges()) != 1 {
		t.Errorf("the file has %v, %v, after %d changes; want the first key alone", kept, err, len(engine.KeyChanges()))
	}
}

func TestGeneratedKeyIsThereWhenTheNodeRefusesIt(t *testing.T) {
	t.Parallel()
	engine, name := alike(), filepath.Join(t.TempDir(), "new.key")
	engine.Err = workflow.ErrUnavailable
	address := serve(t, engine)
	got := at(address, "cluster", "keys", "add", "--generate", name).run(t.Context())
	keys, err := gossip.ReadKeyFile(name)
	if err != nil || got.code != exitUnknown || !strings.Contains(got.stderr, "add key "+keys[0].String()) {
		t.Errorf("got %+v and a file with %v, %v", got, keys, err)
	}
}

func TestWhatIsNoKeyIsRefusedAndNotShown(t *testing.T) {
	t.Parallel()
	engine := alike()
	address := serve(t, engine)
	const secret = "c2l4dGVlbiBieXRlcyA6"
	tests := []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"a key in the place of the file", "", []string{secret}, "FILE cannot be read"},
		{"two keys", "", []string{keyFile(t, gossip.NewKey(), gossip.NewKey())}, "2 lines; expected one key"},
		{"nothing", " \n", []string{"-"}, "0 lines; expected one key"},
		{"no base64", secret + "?", []string{"-"}, "not base64"},
		{"a key that is too short", secret, []string{"-"}, "15 bytes: expected 16, 24 or 32"},
		{"a generated key for stdin", secret, []string{"--generate", "-"}, "expected the name of one"},
		{"an open network", secret, []string{"-", "--address", "http://node-7.example:4000"}, "https://"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			add := at(address, append([]string{"cluster", "keys", "add"}, test.args...)...)
			add.stdin = test.stdin
			got := add.run(t.Context())
			if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, secret) {
				t.Errorf("got %+v, want exit code 2 and %q", got, test.want)
			}
			if changes := engine.KeyChanges(); changes != nil {
				t.Errorf("the node was asked for %d changes", len(changes))
			}
		})
	}
}

func TestKeysThatAreAlikeAreListedWithoutAdvice(t *testing.T) {
	t.Parallel()
	if got := at(serve(t, alike()), "cluster", "keys", "list").run(t.Context()); got.code != exitDone || got.stderr != "" {
		t.Errorf("got %+v", got)
	}
}

func TestRefusedUseSaysWhatToDo(t *testing.T) {
	t.Parallel()
	engine := alike()
	engine.Err = workflow.ErrNodesNotReady
	got := at(serve(t, engine), "cluster", "keys", "use", "0a1b2c3d").run(t.Context())
	if got.code != exitRefused || got.stdout != "" || !strings.Contains(got.stderr, "cluster keys list") {
		t.Errorf("got %+v, want exit code 1 and the list", got)
	}
}

// ping makes nodes send messages to each other, in a ring, until the returned
// function is called. That returns how many arrived.
func ping(t *testing.T, ring map[string]process) (stop func() int) {
	ended := make(chan struct{})
	var mu sync.Mutex
	var senders sync.WaitGroup
	arrived := 0
	for to, from := range ring {
		senders.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if got := at(from.URL, "send", to+"/dispatcher", "ping").run(t.Context()); got.code != exitDone {
					t.Errorf("a message to %s: got %+v", to, got)
				}
				mu.Lock()
				arrived++
				mu.Unlock()
			}
		})
	}
	return func() int {
		close(ended)
		senders.Wait()
		return arrived
	}
}

// keys carries out `cluster keys` on a node, which is to succeed once all nodes
// answer in time.
func (p process) keys(t *testing.T, args ...string) (rows []nodeKeys) {
	t.Helper()
	eventually(t, func() bool {
		got := at(p.URL, append([]string{"cluster", "keys", "-o", "json"}, args...)...).run(withTimeout(t))
		if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || got.code != exitDone {
			t.Logf("cluster keys %s: got %+v, %v", args, got, err)
			return false
		}
		return true
	})
	return rows
}

// beat waits for the next heartbeats of all nodes, 5s apart. Until then a node that
// others do not understand is dead to them.
func (p process) beat(t *testing.T) {
	t.Helper()
	before := p.members(t)
	eventually(t, func() bool {
		for name, m := range p.members(t) {
			if !m.LastHeartbeat.After(before[name].LastHeartbeat) {
				return false
			}
		}
		return true
	})
}

func TestKeysOfRunningNodesAreReplaced(t *testing.T) {
	t.Parallel()
	database, older := testpostgres.URL(t), gossip.NewKey()
	start := func(instance string, key gossip.Key) process {
		return startNode(t, database, instance, "--gossip-key-file", keyFile(t, key))
	}
	nodes := map[string]process{"a": start("a", older), "b": start("b", older), "c": start("c", older)}
	joined := func(newcomer string) bool {
		for name, p := range nodes {
			if name != newcomer && !p.log.has("a member joined", `"instance":"`+newcomer+`"`) {
				return false
			}
		}
		return true
	}
	a, b, c := nodes["a"], nodes["b"], nodes["c"]
	eventually(t, func() bool { return joined("a") && joined("b") && joined("c") })
	stop := ping(t, map[string]process{"b": a, "c": b, "a": c})

	added := filepath.Join(t.TempDir(), "new.key")
	if got := at(a.URL, "cluster", "keys", "add", "--generate", added).run(withTimeout(t)); got.code == exitUsage {
		t.Fatalf("got %+v", got)
	}
	a.keys(t, "add", added) // for those that did not answer in time
	keys, err := gossip.ReadKeyFile(added)
	if err != nil {
		t.Fatal(err)
	}
	newer := keys[0]
	b.keys(t, "use", newer.String())
	a.beat(t)
	c.keys(t, "remove", older.String())
	a.beat(t)

	if messages := stop(); messages < 10 {
		t.Errorf("%d messages arrived meanwhile, want many", messages)
	}
	for _, row := range a.keys(t, "list") {
		if row.Primary != newer.String() || len(row.Others) > 0 {
			t.Errorf("got %+v, want the new key alone", row)
		}
	}
	for name, p := range nodes {
		if p.log.has("taken for dead") || p.log.has("left the cluster") {
			t.Errorf("%s has lost a member", name)
		}
	}

	stranger := start("d", older)
	nodes["e"] = start("e", newer)
	eventually(t, func() bool { return joined("e") && stranger.log.has("was not joined") })
	for name, p := range nodes {
		if p.log.has("a member joined", `"instance":"d"`) {
			t.Errorf("%s lets in a node with the old key", name)
		}
	}

	// It is told over the streams what it missed.
	a.keys(t, "add", added)
	b.keys(t, "use", newer.String())
	c.keys(t, "remove", older.String())
	eventually(t, func() bool { return joined("d") })
	nodes["d"] = stranger
	for name, p := range nodes {
		if p.log.has(older.Encode()) || p.log.has(newer.Encode()) {
			t.Errorf("%s has logged a key", name)
		}
	}
}
