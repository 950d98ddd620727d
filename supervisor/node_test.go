package supervisor

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestNodePrintsAsATree(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 30, 5, 0, time.FixedZone("", 3600))
	tree := Node{Name: "singularity", PID: "10.0.0.1:7000/singularity", Kind: "one_for_one", State: Running, Children: []Node{
		{Name: "journal", PID: "10.0.0.1:7000/journal", Kind: "actor", State: Running, Mailbox: 12, Restarts: 1, LastFailure: "panic on actors.flush: index out of range\nwith\tmore", LastFailureAt: at},
		{Name: "runs", PID: "10.0.0.1:7000/singularity/runs", Kind: "pool", State: Running, More: 49_998, Children: []Node{
			{Name: "run/1", PID: "10.0.0.1:7000/run/1", Kind: "actor", State: Running},
			{Name: "run/2", Kind: "actor", State: BackingOff, Restarts: 3, LastFailure: "panic on\tactors.step: boom", LastFailureAt: at},
		}},
		{Name: "links", PID: "10.0.0.1:7000/singularity/links", Kind: "rest_for_one", State: Starting, Children: []Node{
			{Name: "gossip", PID: "10.0.0.1:7000/singularity/links/gossip", Kind: "actor", State: Stopping},
			{Name: "remote", State: Waiting},
		}},
		{Name: "migrate", Kind: "actor", State: Stopped},
	}}
	const golden = "testdata/tree.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(tree.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := tree.String(); got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNodeReportsAFailedWrite(t *testing.T) {
	t.Parallel()
	if err := (Node{Name: "root"}).Print(full{}); !errors.Is(err, errFull) {
		t.Errorf("Print says %v, want the writer's error", err)
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
