package remoting_test

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"singularity/cluster/remoting"
)

// A frozen process keeps its connections, so only the answers fail to come.
//
//nolint:paralleltest // it measures the heap
func TestFrozenPeerMakesItsSendersWaitInBoundedMemory(t *testing.T) {
	w := newWorld(t)
	heard := newEvents()
	ended := make(chan struct{})
	a := w.node(t, remoting.Config{
		Notify:      heard.notify,
		Limits:      remoting.Limits{Timeout: time.Millisecond}, // all are given up, and sent again
		Undelivered: func(remoting.Peer, remoting.Message, error) { ended <- struct{}{} },
	})
	b := w.process(t, "127.0.0.1:0")
	a.SetPeers([]remoting.Peer{b.self})
	heard.await(t, b.self, "")
	b.signal(t, syscall.SIGSTOP)
	frozen := time.Now()

	before := heap()
	for !fill(t, a, b.self, ended) { // as on a machine so slow that the bell rings first
		heard.await(t, b.self, remoting.Keepalive)
		b.signal(t, syscall.SIGCONT)
		heard.await(t, b.self, "")
		b.signal(t, syscall.SIGSTOP)
		frozen = time.Now()
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB, expected less than 32", grown>>20)
	}
	heard.await(t, b.self, remoting.Keepalive)
	t.Logf("the bell rang %s after the freeze", time.Since(frozen).Round(time.Millisecond))
	b.signal(t, syscall.SIGCONT)
	heard.await(t, b.self, "")
	mustCallPatiently(t, a, b.self)
}

// fill sends to a frozen peer until all is refused, and reports whether the stream
// to it lasted for so long. Each message that gets in sends one to ended.
func fill(t *testing.T, from *remoting.Node, to remoting.Peer, ended <-chan struct{}) bool {
	t.Helper()
	sent := 0
	for _, size := range []int{64 << 10, 0} {
		for busy := 0; busy < 1000; {
			switch err := from.Tell(t.Context(), to, remoting.Message{Type: "echo", Payload: make([]byte, size)}); {
			case err == nil:
				sent++
				<-ended // so that only the queue can hold it
			case errors.Is(err, remoting.ErrBusy):
				busy++
			case errors.Is(err, remoting.ErrUnreachable):
				return false
			default:
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d messages got in, then all were refused", sent)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := from.Call(ctx, to, remoting.Message{Type: "echo"})
	if errors.Is(err, remoting.ErrUnreachable) {
		return false
	}
	expect(t, err, remoting.ErrBusy)
	expect(t, err, context.DeadlineExceeded)
	return true
}

func TestIdlePeerThatFreezesRingsTheBell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := newEvents()
	a := w.node(t, remoting.Config{Notify: heard.notify})
	b := w.process(t, "127.0.0.1:0")
	a.SetPeers([]remoting.Peer{b.self})
	heard.await(t, b.self, "")
	b.signal(t, syscall.SIGSTOP)
	frozen := time.Now()
	heard.await(t, b.self, remoting.Keepalive)
	t.Logf("the bell rang %s after the freeze", time.Since(frozen).Round(time.Millisecond))
}

func TestNodeThatClosesDoesNotWaitLongForAFrozenPeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.node(t, remoting.Config{Limits: remoting.Limits{Goodbye: time.Millisecond}})
	b := w.process(t, "127.0.0.1:0")
	mustCall(t, a, b.self, "hello") // which b has answered over a stream of its own
	b.signal(t, syscall.SIGSTOP)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.Close()
	}()
	await(t, closed, "the end of the node")
}

// mustCallPatiently overrides the short timeout of the node.
func mustCallPatiently(t *testing.T, from *remoting.Node, to remoting.Peer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := from.Call(ctx, to, remoting.Message{Type: "echo"})
	check(t, err)
}

// heap is what is in use of it.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one found has finalizers, and pools keep things for one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

//nolint:paralleltest // it measures the heap
func TestPeerTakesLittleMemory(t *testing.T) {
	w := newWorld(t)
	heard := newEvents()
	a := w.node(t, remoting.Config{Notify: heard.notify})
	const peers = 10
	var nodes []*remoting.Node
	var selves []remoting.Peer
	for range peers {
		node := w.node(t, remoting.Config{})
		nodes, selves = append(nodes, node), append(selves, node.Self())
	}
	before := heap()
	a.SetPeers(selves)
	for range peers {
		if e := await(t, heard, "a stream"); !e.Standing {
			t.Fatalf("event %+v", e)
		}
	}
	for _, node := range nodes {
		mustCall(t, a, node.Self(), "hello")
		mustCall(t, node, a.Self(), "hello")
	}
	each := (heap() - before) / peers
	t.Logf("%d KiB for the streams between two nodes, both ends of both", each>>10)
	if each > 1<<20 {
		t.Errorf("a peer takes %d KiB, expected less than 1024", each>>10)
	}
	runtime.KeepAlive(nodes)
}

//nolint:paralleltest // it counts goroutines
func TestCloseLeavesNoGoroutine(t *testing.T) {
	w := newWorld(t)
	before := runtime.NumGoroutine()
	heard := newEvents()
	a := w.node(t, remoting.Config{Notify: heard.notify})
	b := w.node(t, remoting.Config{})
	c := w.node(t, remoting.Config{})
	c.Close()
	a.SetPeers([]remoting.Peer{b.Self(), c.Self()})
	b.SetPeers([]remoting.Peer{a.Self()})
	for range 2 {
		await(t, heard, "an event")
	}
	mustCall(t, a, b.Self(), "hello")
	mustCall(t, b, a.Self(), "hello")
	a.Close()
	b.Close()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched() // gRPC's and protoactor's end a little later than they say
	}
}
