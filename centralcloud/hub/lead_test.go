package hub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

// watched is a store that tells what a hub does with it.
type watched struct {
	hub.Store
	leads func()
	reads func([]centralcloud.Message)
}

func (s watched) Lead(ctx context.Context, holder string, term time.Duration) (hub.Lead, error) {
	s.leads()
	return s.Store.Lead(ctx, holder, term)
}

func (s watched) Read(ctx context.Context, queue string, lease time.Duration, limit int) ([]centralcloud.Message, error) {
	messages, err := s.Store.Read(ctx, queue, lease, limit)
	s.reads(messages)
	return messages, err
}

func TestLeadIsProlongedWhileMessagesWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body, err := centralcloud.EncodeHello(sender("n1"), nil)
	w.must(err)
	_, err = w.SendBatch(t.Context(), centralcloud.UpQueue, slices.Repeat([]centralcloud.Draft{body}, 250))
	w.must(err)
	var mu sync.Mutex
	read, prolonged := 0, true
	w.start("a", func(config *hub.Config) {
		config.Every = time.Microsecond
		config.Store = watched{config.Store, func() {
			mu.Lock()
			defer mu.Unlock()
			prolonged = true
		}, func(messages []centralcloud.Message) {
			mu.Lock()
			defer mu.Unlock()
			if read += len(messages); !prolonged {
				t.Errorf("the lead was not prolonged before %d messages were read", read)
			}
			prolonged = false
		}}
	})
	w.counted()
}

// Whoever fails to count because it leads no longer has nothing to say of the
// messages, even if it was their last chance.
func TestFormerLeaderLeavesMessagesToTheNextOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const messages, attempts = 3, 5
	for range messages {
		w.send(results("n1", lately(), 1, nil))
	}
	for range attempts - 1 {
		_, err := w.Read(t.Context(), centralcloud.UpQueue, 0, messages)
		w.must(err)
	}
	next := w.open()
	var once sync.Once
	deposed, over := make(chan struct{}), make(chan struct{})
	stop := w.start("a", func(config *hub.Config) {
		config.Store = watched{config.Store, func() {
			select {
			case <-deposed:
				once.Do(func() { close(over) })
			default:
			}
		}, func(read []centralcloud.Message) {
			if len(read) == 0 {
				return
			}
			errResign := next.Resign(t.Context(), hub.Lead{Epoch: 1})
			if _, err := next.Lead(t.Context(), "b", time.Hour); errors.Join(errResign, err) != nil {
				t.Errorf("another hub takes the lead: %v, %v", errResign, err)
			}
			close(deposed)
		}}
	})
	await(w, "the former leader tries to lead again", func() (bool, bool) {
		select {
		case <-over:
			return true, true
		default:
			return false, false
		}
	})
	stop()
	metrics, err := w.QueueMetrics(t.Context(), centralcloud.UpQueue)
	w.must(err)
	dead, err := w.QueueMetrics(t.Context(), centralcloud.DeadUp)
	w.must(err)
	if metrics.Length != messages || dead.Length != 0 {
		t.Errorf("%d messages are left and %d dead, want all %d left", metrics.Length, dead.Length, messages)
	}
}
