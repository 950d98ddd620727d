package remoting_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"singularity/cluster/remoting"
)

func TestCallReturnsTheReplyOfThePeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arrived := make(chan remoting.Delivery, 1)
	b := w.node(t, remoting.Config{Deliver: func(ctx context.Context, d remoting.Delivery) (remoting.Reply, error) {
		arrived <- d
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Minute {
			t.Errorf("deadline %s, %v of a delivery", deadline, ok)
		}
		return remoting.Reply{Type: "pong", Payload: []byte("here")}, nil
	}})
	a := w.node(t, remoting.Config{})
	sent := remoting.Message{ID: "m1", Type: "ping", Target: "run/1", Payload: []byte("there?"), Epoch: 7, Trace: "00-1-2-01"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reply, err := a.Call(ctx, b.Self(), sent)
	check(t, err)
	if reply.Type != "pong" || string(reply.Payload) != "here" {
		t.Errorf("reply %+v", reply)
	}
	d := await(t, arrived, "the message")
	if d.From != a.Self() || d.ID != sent.ID || d.Type != sent.Type || d.Target != sent.Target || string(d.Payload) != "there?" ||
		d.Epoch != sent.Epoch || d.Trace != sent.Trace {
		t.Errorf("delivery %+v", d)
	}
}

func TestCallToTheNodeItselfIsDelivered(t *testing.T) {
	t.Parallel()
	a := newWorld(t).node(t, remoting.Config{})
	mustCall(t, a, a.Self(), "me")
	stale := a.Self()
	stale.Boot = "earlier"
	_, err := a.Call(t.Context(), stale, remoting.Message{Type: "echo"})
	expect(t, err, remoting.ErrStaleIncarnation)
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := remoting.Peer{Address: "10.0.0.9:7947", Boot: "other"}
	errs := map[string]error{
		"unknown type":   remoting.ErrUnknownType,
		"unknown target": remoting.ErrUnknownTarget,
		"stale epoch":    remoting.ErrStaleEpoch,
		"busy":           remoting.ErrBusy,
		"closed":         remoting.ErrClosed,
		"not owner":      &remoting.NotOwnerError{Owner: owner},
		"own":            errors.New("out of ink"),
		"not text":       errors.New("\xff\xfe" + strings.Repeat("x", 10_000)),
	}
	b := w.node(t, remoting.Config{Deliver: func(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
		switch d.Type {
		case "panic":
			panic("ouch")
		case "large":
			return remoting.Reply{Payload: make([]byte, 1<<20)}, nil
		}
		return remoting.Reply{}, errs[d.Type]
	}})
	a := w.node(t, remoting.Config{})
	call := func(kind string) error {
		_, err := a.Call(t.Context(), b.Self(), remoting.Message{Type: kind, Target: "run/1"})
		return err
	}
	for _, kind := range []string{"unknown type", "unknown target", "stale epoch", "busy", "closed"} {
		expect(t, call(kind), errs[kind])
	}
	if e, ok := errors.AsType[*remoting.NotOwnerError](call("not owner")); !ok || e.Owner != owner {
		t.Errorf("owner %+v, expected %s", e, owner)
	}
	for kind, text := range map[string]string{"own": "out of ink", "panic": "panic made its receiver panic: ouch", "not text": "xxx"} {
		if e, ok := errors.AsType[*remoting.RemoteError](call(kind)); !ok || !strings.Contains(e.Text, text) {
			t.Errorf("error %+v of %s, expected %q", e, kind, text)
		}
	}
	expect(t, call("large"), remoting.ErrTooLarge)
}

func TestRepeatedMessageIsActedOnOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var times atomic.Int32
	started, release := make(chan struct{}), make(chan struct{})
	b := w.node(t, remoting.Config{Deliver: func(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
		times.Add(1)
		if d.ID == "slow" {
			close(started)
			<-release
		}
		return remoting.Reply{Payload: []byte("done")}, nil
	}})
	a := w.node(t, remoting.Config{})

	t.Run("after its reply", func(t *testing.T) {
		for range 3 {
			reply, err := a.Call(t.Context(), b.Self(), remoting.Message{ID: "quick", Type: "work"})
			check(t, err)
			if string(reply.Payload) != "done" {
				t.Errorf("reply %q", reply.Payload)
			}
		}
		if times.Load() != 1 {
			t.Errorf("acted on %d times", times.Load())
		}
	})
	t.Run("while it is being acted on", func(t *testing.T) {
		times.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error, 1)
		go func() {
			_, err := a.Call(ctx, b.Self(), remoting.Message{ID: "slow", Type: "work"})
			given <- err
		}()
		await(t, started, "the delivery")
		_, err := a.Call(ctx, b.Self(), remoting.Message{ID: "slow", Type: "work"})
		expect(t, err, remoting.ErrInFlight)
		cancel()
		expect(t, await(t, given, "the end of the first call"), context.Canceled)

		repeated := make(chan error, 1)
		go func() {
			_, err := a.Call(t.Context(), b.Self(), remoting.Message{ID: "slow", Type: "work"})
			repeated <- err
		}()
		mustAnswer(t, a, b.Self()) // so that the repeated one is there
		close(release)
		check(t, await(t, repeated, "the reply"))
		if times.Load() != 2 { // slow, and the one before
			t.Errorf("acted on %d times", times.Load())
		}
	})
	t.Run("of another sender", func(t *testing.T) {
		times.Store(0)
		c := w.node(t, remoting.Config{})
		_, err := c.Call(t.Context(), b.Self(), remoting.Message{ID: "quick", Type: "work"})
		check(t, err)
		if times.Load() != 1 {
			t.Errorf("acted on %d times", times.Load())
		}
	})
}

func TestMessageThatWasNotActedOnMayComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refusals := []error{remoting.ErrBusy, &remoting.NotOwnerError{}, remoting.ErrUnknownTarget, errors.New("out of ink")}
	b := w.node(t, remoting.Config{Deliver: func(context.Context, remoting.Delivery) (remoting.Reply, error) {
		refusal := refusals[0] // one message at a time
		refusals = refusals[1:]
		return remoting.Reply{}, refusal
	}})
	a := w.node(t, remoting.Config{})
	call := func() error {
		_, err := a.Call(t.Context(), b.Self(), remoting.Message{ID: "again", Type: "work"})
		return err
	}
	expect(t, call(), remoting.ErrBusy)
	if _, ok := errors.AsType[*remoting.NotOwnerError](call()); !ok {
		t.Error("expected that the target lives elsewhere")
	}
	expect(t, call(), remoting.ErrUnknownTarget)
	for range 2 { // the second time from memory
		if e, ok := errors.AsType[*remoting.RemoteError](call()); !ok || e.Text != "out of ink" {
			t.Errorf("error %v", e)
		}
	}
}

func mustAnswer(t *testing.T, from *remoting.Node, to remoting.Peer) {
	t.Helper()
	_, err := from.Call(t.Context(), to, remoting.Message{Type: "work"})
	check(t, err)
}

func TestMessageForAnotherEpochIsNotDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{Epoch: func(target string) (int64, bool) { return 5, target == "run/1" }})
	a := w.node(t, remoting.Config{})
	for _, c := range []struct {
		target   string
		epoch    int64
		expected error
	}{
		{"run/1", 5, nil}, {"run/1", 0, nil}, {"run/1", 4, remoting.ErrStaleEpoch}, {"run/1", 6, remoting.ErrStaleEpoch}, {"run/2", 4, nil},
	} {
		_, err := a.Call(t.Context(), b.Self(), remoting.Message{Type: "echo", Target: c.target, Epoch: c.epoch})
		expect(t, err, c.expected)
	}
}

func TestLargeMessageIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{})
	a := w.node(t, remoting.Config{})
	for _, size := range []int{512<<10 + 1, 5 << 20} {
		_, err := a.Call(t.Context(), b.Self(), remoting.Message{Type: "echo", Payload: make([]byte, size)})
		expect(t, err, remoting.ErrTooLarge)
		expect(t, a.Tell(t.Context(), b.Self(), remoting.Message{Type: "echo", Payload: make([]byte, size)}), remoting.ErrTooLarge)
	}
	whole := bytes.Repeat([]byte{7}, 512<<10)
	reply, err := a.Call(t.Context(), b.Self(), remoting.Message{Type: "echo", Payload: whole})
	check(t, err)
	if !bytes.Equal(reply.Payload, whole) {
		t.Error("the largest payload did not come back whole")
	}
	for _, m := range []remoting.Message{{Type: "\xff"}, {ID: strings.Repeat("x", 600)}} {
		if _, err := a.Call(t.Context(), b.Self(), m); err == nil || !strings.Contains(err.Error(), "bytes of UTF-8") {
			t.Errorf("error %v of a message with a bad name", err)
		}
	}
}

func TestEachMessageOfABurstIsDeliveredOrRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{})
	a := w.node(t, remoting.Config{})
	payload := bytes.Repeat([]byte{1}, 100<<10)
	var calls sync.WaitGroup
	for range 200 {
		calls.Go(func() { // waits for room in the window
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if reply, err := a.Call(ctx, b.Self(), remoting.Message{Type: "echo", Payload: payload}); err != nil || len(reply.Payload) != len(payload) {
				t.Errorf("call: %d bytes, %v", len(reply.Payload), err)
			}
		})
	}
	calls.Wait()

	ended := make(chan error, 200)
	c := w.node(t, remoting.Config{Undelivered: func(_ remoting.Peer, _ remoting.Message, err error) { ended <- err }})
	d := w.node(t, remoting.Config{Deliver: func(context.Context, remoting.Delivery) (remoting.Reply, error) {
		ended <- nil
		return remoting.Reply{}, nil
	}})
	busy := 0
	for range 200 {
		if err := c.Tell(t.Context(), d.Self(), remoting.Message{Type: "note", Payload: payload}); err != nil {
			expect(t, err, remoting.ErrBusy)
			busy++
		}
	}
	for range 200 - busy {
		check(t, await(t, ended, "the end of a message"))
	}
	t.Logf("%d of 200 told messages were refused as the window was full", busy)
	mustAnswer(t, a, d.Self())
}

func TestNodeThatActsOnTooManyIsBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acting, acted := make(chan struct{}), make(chan error, 1)
	b := w.node(t, remoting.Config{
		Limits: remoting.Limits{Deliveries: 1},
		Deliver: func(ctx context.Context, d remoting.Delivery) (remoting.Reply, error) {
			if d.Type == "long" {
				close(acting)
				<-ctx.Done()
				acted <- ctx.Err()
			}
			return remoting.Reply{}, ctx.Err()
		},
	})
	undelivered := make(chan error, 1)
	a := w.node(t, remoting.Config{Undelivered: func(_ remoting.Peer, _ remoting.Message, err error) { undelivered <- err }})
	mustAnswer(t, a, b.Self()) // so that b can reply at once
	for begun := false; !begun; {
		check(t, a.Tell(t.Context(), b.Self(), remoting.Message{Type: "long"}))
		select {
		case <-acting:
			begun = true
		case err := <-undelivered: // b has not forgotten the message yet that it answered
			expect(t, err, remoting.ErrBusy)
		case <-time.After(patience):
			t.Fatal("waited in vain for the long message")
		}
	}
	_, err := a.Call(t.Context(), b.Self(), remoting.Message{Type: "short"})
	expect(t, err, remoting.ErrBusy)
	b.Close()
	expect(t, await(t, acted, "the end of the delivery"), context.Canceled)
	// The reply and the goodbye come by streams of their own, in either order.
	err = await(t, undelivered, "the end of the long message")
	if !errors.Is(err, remoting.ErrInterrupted) && !strings.Contains(err.Error(), "canceled") {
		t.Errorf("the long message ended with %v", err)
	}
}

func TestToldMessageThatIsNotAnsweredExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{Deliver: func(ctx context.Context, _ remoting.Delivery) (remoting.Reply, error) {
		<-ctx.Done()
		return remoting.Reply{}, ctx.Err()
	}})
	undelivered := make(chan error, 1)
	a := w.node(t, remoting.Config{
		Limits:      remoting.Limits{Timeout: 50 * time.Millisecond},
		Undelivered: func(_ remoting.Peer, _ remoting.Message, err error) { undelivered <- err },
	})
	check(t, a.Tell(t.Context(), b.Self(), remoting.Message{Type: "long"}))
	if err := await(t, undelivered, "the end of the message"); !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("the message ended with %v", err)
	}
	_, err := a.Call(t.Context(), b.Self(), remoting.Message{Type: "long"})
	if !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("the call ended with %v", err)
	}
}
