package remoting

import (
	"time"

	"singularity/messages"
)

// overhead is what a message counts for beside its payload: protoactor's and
// gRPC's structures, and a limit to the number of small ones.
const overhead = 16 << 10

func weightOf(e *messages.Envelope) int64 { return int64(len(e.GetPayload())) + overhead }

// outgoing is an envelope between being handed to protoactor's queue and the
// end of its story. It counts against its link's window for as long as it is in
// memory here or unanswered there: a caller that gives up makes no room while
// the queue does not move.
type outgoing struct {
	envelope *messages.Envelope
	release  func()

	// Guarded by the mutex of the link.
	done   func(*messages.Envelope, error) // called once; nil when it was, and for replies
	queued bool                            // in protoactor's queue, or being written
	taken  bool                            // out of the queue: it may have been sent
	expiry *time.Timer
}

// over ends the wait for the reply and returns whom to tell. The caller holds
// the mutex of the link.
func (o *outgoing) over() func(*messages.Envelope, error) {
	done := o.done
	o.done = nil
	if o.expiry != nil {
		o.expiry.Stop()
	}
	if done != nil && !o.queued {
		o.release()
	}
	return done
}

// passed notes that protoactor's queue no longer holds it. The caller holds the
// mutex of the link.
func (o *outgoing) passed() {
	o.queued = false
	if o.done == nil {
		o.release()
	}
}
