package actors

import "sync"

// worker is the goroutine of a run's attempts. When an attempt has returned, it
// may be given the commit of what the attempt left, and then the next attempt:
// a run that is alone on its node changes no goroutine between two steps, which
// might have to wake a processor each time.
type worker struct {
	mu   sync.Mutex
	free bool   // it takes an errand
	next errand // the one that it took
}

// errand is what a worker does. It is called occupied, and may release it.
type errand func(*worker)

// startWorker makes a worker, which ends when it has nothing more to do.
func startWorker(first errand) *worker {
	w := &worker{}
	go func() {
		for do := first; do != nil; do = w.take() {
			do(w)
		}
	}()
	return w
}

// release says that the worker is about to return from its errand, or only
// waits for somebody who may offer the next one.
func (w *worker) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = true
}

// offer reports whether the worker will do the errand. One that does not exist,
// that is occupied or that has ended will not.
func (w *worker) offer(do errand) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.free || w.next != nil {
		return false
	}
	w.next = do
	return true
}

// take returns the errand that was offered. Without one the worker has ended.
func (w *worker) take() errand {
	w.mu.Lock()
	defer w.mu.Unlock()
	do := w.next
	w.next, w.free = nil, false
	return do
}
