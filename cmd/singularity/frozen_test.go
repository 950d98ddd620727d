package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"singularity/internal/testpostgres"
	"singularity/messages"
	"singularity/messages/messagesconnect"
)

const (
	letters    = 2000
	letterSize = 128 << 10
	// mostGrowth is how much more memory their sender may have at any time.
	mostGrowth = letters * letterSize / 2
)

// A frozen process keeps its connections, so nothing says that it is gone until
// its lease is over.
func TestSenderStaysSmallWhileItsPeerIsFrozen(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a, b := startNode(t, database, "a"), startNode(t, database, "b")
	reach := func() bool { return at(a.URL, "send", "b/dispatcher", "ping").run(withTimeout(t)).code == exitDone }
	eventually(t, reach)
	before := a.peakMemory(t)
	b.signal(t, syscall.SIGSTOP)

	p := producer{actors: messagesconnect.NewActorServiceClient(http.DefaultClient, a.URL), codes: map[connect.Code]int{}}
	p.produce(t.Context())
	grown := a.peakMemory(t) - before
	t.Logf("%d MiB for the frozen node, in messages that ended with %v; the sender grew by %d MiB", letters*letterSize>>20, p.codes, grown>>20)
	for code, count := range p.codes {
		if code != connect.CodeUnavailable && code != connect.CodeDeadlineExceeded && code != connect.CodeNotFound {
			t.Errorf("%d messages ended with code %q, expected that the node is not reached, does not answer in time, or is not there any more", count, code)
		}
	}
	if grown > mostGrowth {
		t.Errorf("the sender grew by %d MiB, expected less than %d", grown>>20, mostGrowth>>20)
	}
	patient := at(a.URL, "send", "b/dispatcher", "ping", "--timeout", "20s").run(withTimeout(t))
	if patient.code != exitUnknown || !strings.Contains(patient.stderr, "b/dispatcher") {
		t.Errorf("a caller with more patience got %+v, want exit code 3 and whom it did not reach", patient)
	}
	b.signal(t, syscall.SIGCONT)
	eventually(t, reach)
}

// producer sends messages from many callers, who soon give up.
type producer struct {
	actors messagesconnect.ActorServiceClient

	mu    sync.Mutex
	codes map[connect.Code]int // how they ended
}

func (p *producer) produce(ctx context.Context) {
	letter := &messages.SendRequest{Pid: "b/dispatcher", Type: "ping", PayloadJson: strconv.Quote(strings.Repeat("x", letterSize))}
	var callers sync.WaitGroup
	var begun atomic.Int64
	for range 16 {
		callers.Go(func() {
			for begun.Add(1) <= letters {
				p.send(ctx, letter)
			}
		})
	}
	callers.Wait()
}

func (p *producer) send(ctx context.Context, letter *messages.SendRequest) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err := p.actors.Send(ctx, letter)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[connect.CodeOf(err)]++
}

// peakMemory is the most that the process ever had, in bytes.
func (p process) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if size, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.Fields(size)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("%s does not say how much memory it had", status)
	return 0
}
