package soak

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// ledger is the outside world: it notes every effect, and answers it unless
// that is held back.
type ledger struct {
	*httptest.Server

	takes time.Duration // for each answer; set before the first effect
	watch func(Effect)  // hears of each effect, one after the other; the same

	mu      sync.Mutex
	effects []Effect
	holds   []*hold
	changed chan struct{} // closed and replaced at each effect
}

// hold keeps effects without their answer, so that their steps stay in flight.
type hold struct {
	ledger   *ledger
	selects  func(Effect) bool
	released chan struct{}
	effects  []Effect    // held so far
	dropped  []time.Time // when steps went that were held
}

// newLedger listens at an address of this machine.
func newLedger(t testing.TB, host string) *ledger {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{changed: make(chan struct{})}
	l.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(l.handle)}}
	l.Start()
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	return l
}

func (l *ledger) handle(w http.ResponseWriter, r *http.Request) {
	var effect Effect
	if err := json.NewDecoder(r.Body).Decode(&effect); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if held := l.note(effect); held != nil {
		select {
		case <-held.released:
		case <-r.Context().Done():
			held.drop()
			return
		}
	}
	if l.takes > 0 {
		select {
		case <-time.After(l.takes):
		case <-r.Context().Done():
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (l *ledger) note(effect Effect) (held *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch != nil {
		l.watch(effect)
	}
	if effect.Ends { // the step was counted when it began
		return nil
	}
	l.effects = append(l.effects, effect)
	l.stir()
	for _, h := range l.holds {
		if h.selects(effect) {
			h.effects = append(h.effects, effect)
			return h
		}
	}
	return nil
}

// stir wakes who waits.
func (l *ledger) stir() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// drop notes that a step has gone without its answer.
func (h *hold) drop() {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.dropped = append(h.dropped, time.Now())
	h.ledger.stir()
}

// awaitDrop waits until a step has gone without its answer, and returns when the
// first did.
func (h *hold) awaitDrop(t testing.TB) (at time.Time) {
	t.Helper()
	h.ledger.await(t, "the end of a step that is held", func([]Effect) bool {
		if len(h.dropped) > 0 {
			at = h.dropped[0]
		}
		return len(h.dropped) > 0
	})
	return at
}

// holdBack leaves the effects that are selected without their answer, until
// the hold is released.
func (l *ledger) holdBack(selects func(Effect) bool) *hold {
	h := &hold{ledger: l, selects: selects, released: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = append(l.holds, h)
	return h
}

// release answers what is held, and holds nothing more. It may be called twice.
func (h *hold) release() {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	if i := slices.Index(h.ledger.holds, h); i >= 0 {
		h.ledger.holds = slices.Delete(h.ledger.holds, i, i+1)
		close(h.released)
	}
}

// await waits until so many effects are held.
func (h *hold) await(t testing.TB, what string, count int) {
	t.Helper()
	h.ledger.await(t, what, func([]Effect) bool { return len(h.effects) >= count })
}

// await waits until the effects so far satisfy the condition.
func (l *ledger) await(t testing.TB, what string, satisfied func([]Effect) bool) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	for {
		l.mu.Lock()
		done, changed := satisfied(l.effects), l.changed
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}

func (l *ledger) all() []Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.effects)
}
