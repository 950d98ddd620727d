package gossip

import (
	"context"
	"iter"
	"maps"
	"sync"
)

// board shows the latest view to those who watch it. Putting up a view waits for
// none of them. It is safe for concurrent use.
type board struct {
	mu       sync.Mutex
	latest   View
	watchers map[*watcher]struct{}
	closed   chan struct{}
}

// watcher is one who watches a board. Its board's mutex guards gone.
type watcher struct {
	wake chan struct{}
	gone map[string]Change // how those went who have gone since it looked last
}

func newBoard() *board {
	return &board{watchers: map[*watcher]struct{}{}, closed: make(chan struct{})}
}

// put puts up a view, and how those went who are in it no more.
func (b *board) put(view View, gone map[string]Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest = view
	for w := range b.watchers {
		maps.Copy(w.gone, gone)
		w.rouse()
	}
}

// view returns the latest view.
func (b *board) view() View {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latest
}

// watch yields as [Gossip.Watch] does.
func (b *board) watch(ctx context.Context) iter.Seq2[View, []Change] {
	return func(yield func(View, []Change) bool) {
		w := b.enter()
		defer b.depart(w)
		var seen View
		for open := true; open; {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			case <-b.closed: // look once more
				open = false
			}
			latest, gone := b.look(w)
			what := changes(seen, latest, gone)
			seen = latest
			if len(what) > 0 && !yield(latest, what) {
				return
			}
		}
	}
}

func (b *board) enter() *watcher {
	w := &watcher{wake: make(chan struct{}, 1), gone: map[string]Change{}}
	w.rouse()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[w] = struct{}{}
	return w
}

func (b *board) depart(w *watcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watchers, w)
}

func (b *board) look(w *watcher) (View, map[string]Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gone := w.gone
	w.gone = map[string]Change{}
	return b.latest, gone
}

// close ends all watches, once. There is no put after it.
func (b *board) close() { close(b.closed) }

// rouse makes the watcher look.
func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it is going to
	}
}
