package remoting

import "sync"

// bell hands events to their subscriber, one after the other, on a goroutine of
// its own: whoever raises one waits for nobody, and the subscriber may use the
// node.
type bell struct {
	notify func(Event)

	mu     sync.Mutex
	raised []Event
	wake   chan struct{} // one token when something was raised
	quit   chan struct{}
	silent chan struct{}
}

func newBell(notify func(Event)) *bell {
	b := &bell{notify: notify, wake: make(chan struct{}, 1), quit: make(chan struct{}), silent: make(chan struct{})}
	go b.run()
	return b
}

func (b *bell) ring(e Event) {
	b.mu.Lock()
	b.raised = append(b.raised, e)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bell) run() {
	defer close(b.silent)
	for {
		select {
		case <-b.wake:
			for _, e := range b.next() {
				b.notify(e)
			}
		case <-b.quit:
			return
		}
	}
}

func (b *bell) next() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	raised := b.raised
	b.raised = nil
	return raised
}

// close waits for the subscriber; what it has not heard by then it never will.
func (b *bell) close() {
	close(b.quit)
	<-b.silent
}
