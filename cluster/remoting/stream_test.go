package remoting_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"singularity/cluster/remoting"
	"singularity/internal/testport"
)

func TestKilledPeerRingsTheBellAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := newEvents()
	a := w.node(t, remoting.Config{Notify: heard.notify, Limits: remoting.Limits{Redial: 50 * time.Millisecond}})
	var delays []time.Duration
	bind, err := testport.Free(t.Context(), "127.0.0.1")
	check(t, err)
	for range 10 {
		b := w.process(t, bind)
		a.SetPeers([]remoting.Peer{b.self})
		heard.await(t, b.self, "")
		mustCall(t, a, b.self, "alive")

		killed := time.Now()
		b.signal(t, syscall.SIGKILL)
		heard.await(t, b.self, remoting.Reset)
		delays = append(delays, time.Since(killed))
		heard.await(t, b.self, remoting.Refused)

		_, err := a.Call(t.Context(), b.self, remoting.Message{Type: "echo"})
		expect(t, err, remoting.ErrUnreachable)
		if e, ok := errors.AsType[*remoting.LinkError](err); !ok || e.Reason != remoting.Refused {
			t.Errorf("error %v, expected that the address refuses", err)
		}
		a.SetPeers(nil) // or else it may find the next one, at the same address, before that is one of its peers
	}
	slices.Sort(delays)
	t.Logf("kill -9 to the event: %s p50, %s at most", delays[len(delays)/2], delays[len(delays)-1])
}

func TestRestartedPeerGetsNoMessageOfItsPredecessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := newEvents()
	a := w.node(t, remoting.Config{Notify: heard.notify, Limits: remoting.Limits{Redial: 50 * time.Millisecond}})
	bind, err := testport.Free(t.Context(), "127.0.0.1")
	check(t, err)
	before := w.process(t, bind)
	a.SetPeers([]remoting.Peer{before.self})
	heard.await(t, before.self, "")
	before.signal(t, syscall.SIGKILL)
	heard.await(t, before.self, remoting.Reset)
	heard.await(t, before.self, remoting.Refused)

	arrived := make(chan remoting.Delivery, 1)
	after := w.node(t, remoting.Config{Bind: bind, Deliver: func(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
		arrived <- d
		return remoting.Reply{}, nil
	}})
	heard.awaitOnly(t, before.self, remoting.OtherBoot) // a dial that came too soon for it was reset
	stale := remoting.Message{ID: "stale", Type: "work"}
	_, err = a.Call(t.Context(), before.self, stale)
	expect(t, err, remoting.ErrStaleIncarnation)
	expect(t, a.Tell(t.Context(), before.self, stale), remoting.ErrStaleIncarnation)
	if errors.Is(err, remoting.ErrUnreachable) {
		t.Errorf("error %q: a process is there, but another one", err)
	}

	_, err = a.Call(t.Context(), after.Self(), remoting.Message{ID: "fresh", Type: "work"})
	check(t, err)
	if d := await(t, arrived, "the fresh message"); d.ID != "fresh" {
		t.Errorf("message %q arrived", d.ID)
	}
}

func TestMessageOnABrokenStreamMayHaveBeenActedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acting := make(chan struct{}, 1)
	b := w.node(t, remoting.Config{Deliver: func(ctx context.Context, _ remoting.Delivery) (remoting.Reply, error) {
		acting <- struct{}{}
		<-ctx.Done()
		return remoting.Reply{}, ctx.Err()
	}})
	cable := newCable(t, b.Self().Address)
	undelivered, repeated := make(chan error, 1), make(chan error, 1)
	var a *remoting.Node
	a = w.node(t, remoting.Config{Undelivered: func(to remoting.Peer, m remoting.Message, err error) {
		undelivered <- err
		repeated <- a.Tell(t.Context(), to, m)
	}})
	far := remoting.Peer{Address: cable.address(), Boot: b.Self().Boot}
	called := make(chan error, 1)
	go func() {
		_, err := a.Call(t.Context(), far, remoting.Message{Type: "long"})
		called <- err
	}()
	await(t, acting, "the called message")
	check(t, a.Tell(t.Context(), far, remoting.Message{Type: "long"}))
	await(t, acting, "the told message")
	cable.cut()
	expect(t, await(t, called, "the end of the call"), remoting.ErrInterrupted)
	expect(t, await(t, undelivered, "the end of the told message"), remoting.ErrInterrupted)
	expect(t, await(t, repeated, "the end of its repetition"), remoting.ErrUnreachable)
	_, err := a.Call(t.Context(), far, remoting.Message{Type: "long"})
	expect(t, err, remoting.ErrUnreachable)
}

func TestStreamComesBackWithTheNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{})
	cable := newCable(t, b.Self().Address)
	far := remoting.Peer{Address: cable.address(), Boot: b.Self().Boot}
	heard := newEvents()
	a := w.node(t, remoting.Config{Notify: heard.notify, Limits: remoting.Limits{Redial: 20 * time.Millisecond}})
	a.SetPeers([]remoting.Peer{far})
	for range 3 {
		heard.await(t, far, "")
		mustCall(t, a, far, "hello")
		cable.cut()
		heard.await(t, far, remoting.Reset)
		heard.await(t, far, remoting.Refused)
		cable.mend(t)
	}
	heard.await(t, far, "")

	a.SetPeers(nil) // nobody listens for it any more, but it can be called
	mustCall(t, a, far, "hello")
	cable.cut()
	a.SetPeers([]remoting.Peer{b.Self()})
	heard.await(t, b.Self(), "")
}

func TestPeerThatClosesSaysGoodbye(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := newEvents()
	b := w.node(t, remoting.Config{})
	a := w.node(t, remoting.Config{Notify: heard.notify})
	a.SetPeers([]remoting.Peer{b.Self(), a.Self(), b.Self()})
	heard.await(t, b.Self(), "")
	mustCall(t, a, b.Self(), "hello")
	mustCall(t, b, a.Self(), "hello")
	b.Close()
	b.Close()
	heard.await(t, b.Self(), remoting.Closed)
	heard.awaitOnly(t, b.Self(), remoting.Refused)
	_, err := b.Call(t.Context(), a.Self(), remoting.Message{Type: "echo"})
	expect(t, err, remoting.ErrClosed)
	expect(t, b.Tell(t.Context(), b.Self(), remoting.Message{Type: "echo"}), remoting.ErrClosed)
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acting := make(chan struct{}, 1)
	hang := func(ctx context.Context, _ remoting.Delivery) (remoting.Reply, error) {
		acting <- struct{}{}
		<-ctx.Done()
		return remoting.Reply{}, ctx.Err()
	}
	a, b := w.node(t, remoting.Config{Deliver: hang}), w.node(t, remoting.Config{Deliver: hang})
	ended := make(chan error, 2)
	call := func(from, to *remoting.Node) {
		_, err := from.Call(t.Context(), to.Self(), remoting.Message{Type: "long"})
		ended <- err
	}
	go call(a, b)
	await(t, acting, "the message of a")
	go call(b, a)
	await(t, acting, "the message of b")
	a.Close()
	for range 2 {
		if err := await(t, ended, "the end of a call"); err == nil || strings.Contains(err.Error(), "deadline") {
			t.Errorf("a call ended with %v", err)
		}
	}
}

func TestUnreachablePeerIsReportedBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent := newCable(t, "") // takes connections, and says nothing
	a := w.node(t, remoting.Config{Limits: remoting.Limits{Dial: 100 * time.Millisecond}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := a.Call(ctx, remoting.Peer{Address: silent.address(), Boot: "x"}, remoting.Message{Type: "echo"})
	expect(t, err, remoting.ErrUnreachable)
	if e, ok := errors.AsType[*remoting.LinkError](err); !ok || e.Reason != remoting.Keepalive {
		t.Errorf("error %v, expected that the peer does not answer", err)
	}
	if ctx.Err() != nil {
		t.Error("it took until the deadline")
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = a.Call(short, remoting.Peer{Address: silent.address(), Boot: "x"}, remoting.Message{Type: "echo"})
	expect(t, err, context.DeadlineExceeded)
	for _, wrong := range []remoting.Peer{{}, {Address: "nowhere", Boot: "x"}, {Address: "127.0.0.1:1", Boot: "a#b"}} {
		if _, err := a.Call(t.Context(), wrong, remoting.Message{Type: "echo"}); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("error %v of peer %+v", err, wrong)
		}
	}
}
