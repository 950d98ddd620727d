package faultnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"singularity/internal/faultnet"
)

// The network is the process's own, so these tests follow one another.

// echo is a peer that sends back what it gets.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		faultnet.Suffer(nil)
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := faultnet.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends a word and waits for its echo.
func ask(conn net.Conn, word string) (string, error) {
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer := make([]byte, len(word))
	_, err := io.ReadFull(conn, answer)
	return string(answer), err
}

func TestStreamGoesOnWhenTheNetworkIsMended(t *testing.T) { //nolint:paralleltest // the network is the process's
	for name, loss := range map[string]faultnet.Loss{"out": {Out: 100}, "in": {In: 100}} {
		t.Run(name, func(t *testing.T) {
			peer := echo(t)
			conn := dial(t, peer)
			before := faultnet.Lost()
			faultnet.Suffer(map[string]faultnet.Loss{peer: loss})
			answers := make(chan string, 1)
			go func() {
				answer, err := ask(conn, "hello")
				answers <- answer
				if err != nil {
					t.Error(err)
				}
			}()
			for faultnet.Lost() == before {
				select {
				case answer := <-answers:
					t.Fatalf("the answer %q came through a network that is cut", answer)
				case <-time.After(time.Millisecond):
				}
			}
			faultnet.Suffer(nil)
			if answer := <-answers; answer != "hello" {
				t.Errorf("got %q when the network was mended, want hello", answer)
			}
		})
	}
}

func TestHeldStreamKeepsItsDeadlineAndCanBeClosed(t *testing.T) { //nolint:paralleltest // the network is the process's
	peer := echo(t)
	conn := dial(t, peer)
	faultnet.Suffer(map[string]faultnet.Loss{peer: {Out: 100}})
	if err := conn.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(conn, "hello"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline, a write ended with %v", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := ask(conn, "hello")
		ended <- err
	}()
	_ = conn.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("when the stream was closed, a write ended with %v", err)
	}
}

func TestNothingIsDialledThroughACut(t *testing.T) { //nolint:paralleltest // the network is the process's
	peer := echo(t)
	faultnet.Suffer(map[string]faultnet.Loss{peer: {In: 100}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if conn, err := faultnet.Dial(ctx, peer); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialled %v, %v", conn, err)
	}
}

func TestLossOfTenPercentLetsStreamsThrough(t *testing.T) { //nolint:paralleltest // the network is the process's
	peer := echo(t)
	conn := dial(t, peer)
	faultnet.Suffer(map[string]faultnet.Loss{peer: {Out: 10, In: 10}})
	before := faultnet.Lost()
	for faultnet.Lost() < before+2 {
		if answer, err := ask(conn, "hello"); answer != "hello" || err != nil {
			t.Fatalf("got %q, %v", answer, err)
		}
	}
}
