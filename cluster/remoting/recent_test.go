package remoting

import (
	"strconv"
	"testing"

	"singularity/messages"
)

func TestRecentForgetsTheOldestReplies(t *testing.T) {
	t.Parallel()
	r := newRecent(Limits{Remembered: 3, RememberedBytes: 100})
	key := func(n int) messageKey { return messageKey{"boot", strconv.Itoa(n)} }
	known := func(n int) bool {
		reply, fresh := r.begin(key(n))
		if fresh {
			delete(r.replies, key(n))
		}
		return !fresh && reply != nil
	}
	r.begin(key(0)) // is being acted on all the time
	for n := 1; n <= 5; n++ {
		r.begin(key(n))
		r.finish(key(n), &messages.Envelope{Payload: make([]byte, 10)})
	}
	for n, expected := range []bool{false, false, false, true, true, true} {
		if n > 0 && known(n) != expected {
			t.Errorf("reply %d is known: %t, expected %t", n, !expected, expected)
		}
	}
	if reply, fresh := r.begin(key(0)); fresh || reply != nil {
		t.Error("what is being acted on was forgotten")
	}
	r.begin(key(6))
	r.finish(key(6), &messages.Envelope{Payload: make([]byte, 85)})
	if known(3) || known(4) || !known(5) || !known(6) {
		t.Error("expected that the bytes of 5 and 6 alone fit")
	}
	r.begin(key(7))
	r.finish(key(7), &messages.Envelope{Payload: make([]byte, 101)})
	if len(r.order) != 0 || r.bytes != 0 {
		t.Errorf("%d replies of %d bytes are kept, expected none", len(r.order), r.bytes)
	}
}
