package hub_test

import (
	"context"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

// telling is a store that tells of news, when a test has some. It says what a hub
// does with it.
type telling struct {
	hub.Store
	news  chan struct{}
	calls chan string
}

func newTelling(w *world) telling {
	return telling{w.open(), make(chan struct{}), make(chan string, 100)}
}

func (s telling) Await(ctx context.Context) error {
	s.calls <- "await"
	select {
	case <-s.news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s telling) Lead(ctx context.Context, holder string, term time.Duration) (hub.Lead, error) {
	s.calls <- "lead"
	return s.Store.Lead(ctx, holder, term)
}

func (s telling) Read(ctx context.Context, queue string, lease time.Duration, limit int) ([]centralcloud.Message, error) {
	messages, err := s.Store.Read(ctx, queue, lease, limit)
	if len(messages) == 0 {
		s.calls <- "read nothing"
	} else {
		s.calls <- "read"
	}
	return messages, err
}

// did checks what a hub has done since it was asked last.
func (s telling) did(w *world, want ...string) {
	w.Helper()
	for i, call := range want {
		select {
		case got := <-s.calls:
			if got != call {
				w.Fatalf("call %d is %q, want %q", i, got, call)
			}
		case <-time.After(time.Minute):
			w.Fatalf("within a minute there was no call %d, %q", i, call)
		}
	}
}

// seldom is as often as nothing happens while a test goes on.
func seldom(store telling) func(*hub.Config) {
	return func(config *hub.Config) { config.Store, config.Every = store, time.Hour }
}

func TestLeaderWithoutMessagesAsksNothingUntilItIsToldOfSome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := newTelling(w)
	w.start("a", seldom(store))
	store.did(w, "lead", "read nothing", "lead", "lead", "await") // prolonged by the tick, and by the look for patterns
	w.send(results("n1", lately(), 1, nil))
	store.news <- struct{}{}
	// What came along with a message may be what nobody is told of.
	store.did(w, "read", "read nothing", "await")
}

func TestWhoWaitsForTheLeadAsksNothingUntilItIsToldOfNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leader, err := w.Lead(t.Context(), "first", time.Hour)
	w.must(err)
	store := newTelling(w)
	w.start("second", seldom(store))
	store.did(w, "lead", "await")
	w.must(w.Resign(t.Context(), leader))
	store.news <- struct{}{}
	store.did(w, "lead", "read nothing")
}
