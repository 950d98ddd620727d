package actors

import (
	"testing"
)

func TestWorkerTakesTheNextErrandOnlyWhenItIsFree(t *testing.T) {
	t.Parallel()
	var absent *worker
	if absent.offer(func(*worker) {}) {
		t.Error("a worker that does not exist took an errand")
	}
	var done []string
	ended := make(chan struct{})
	w := startWorker(func(w *worker) {
		if w.offer(func(*worker) {}) {
			t.Error("an occupied worker took an errand")
		}
		w.release()
		if !w.offer(func(*worker) {
			done = append(done, "second")
			if w.offer(func(*worker) {}) {
				t.Error("it took another one while it was occupied with the second")
			}
			close(ended)
		}) {
			t.Error("a free worker refused an errand")
		}
		if w.offer(func(*worker) {}) {
			t.Error("it took two at once")
		}
		done = append(done, "first")
	})
	<-ended
	if len(done) != 2 || done[0] != "first" || done[1] != "second" {
		t.Errorf("it did %v", done)
	}
	if w.offer(func(*worker) {}) {
		t.Error("a worker without anything left to do took an errand")
	}
}
