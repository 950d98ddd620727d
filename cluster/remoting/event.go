package remoting

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Event says that the stream to a peer stands from now on, or that it does not.
// It is an alarm bell and never a verdict: whether the peer is dead is for the
// database to say.
type Event struct {
	Peer     Peer
	Standing bool
	Reason   Reason // why it does not stand
	Err      error
}

// Reason is what a missing stream looks like from here.
type Reason string

// The reasons. While a stream is missing, an event is raised for each new one.
const (
	Reset     Reason = "reset"     // the connection broke
	Refused   Reason = "refused"   // nobody listens at the address
	OtherBoot Reason = "otherBoot" // another boot listens at the address
	Keepalive Reason = "keepalive" // the peer did not answer a ping, or did not say who it is
	Untrusted Reason = "untrusted" // one side does not accept the other's certificate
	Closed    Reason = "closed"    // the peer said goodbye
)

// LinkError says why there is no stream to a peer. It is ErrStaleIncarnation if
// another boot answered, else ErrUnreachable, and ErrUntrusted too if it is a
// matter of certificates.
type LinkError struct {
	Peer   Peer
	Reason Reason
	Err    error
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("no stream to %s (%s): %s", e.Peer, e.Reason, status.Convert(e.Err).Message())
}

// Unwrap returns what happened.
func (e *LinkError) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel for the reason.
func (e *LinkError) Is(target error) bool {
	switch target {
	case ErrStaleIncarnation:
		return e.Reason == OtherBoot
	case ErrUnreachable:
		return e.Reason != OtherBoot
	case ErrUntrusted:
		return e.Reason == Untrusted
	}
	return false
}

var (
	errSilent  = errors.New("the peer did not say in time who it is")
	errGoodbye = errors.New("the peer is shutting down")
	errLeft    = errors.New("the peer is none of the cluster's any more")
)

// reasonOf reads an error of gRPC, which keeps most of what happened as text.
func reasonOf(err error) Reason {
	text := err.Error()
	switch code := status.Code(err); {
	case errors.Is(err, errGoodbye):
		return Closed
	case errors.Is(err, errSilent), strings.Contains(text, "keepalive"),
		strings.Contains(text, "timed out"): // what was sent was not acknowledged, which gRPC has TCP watch too
		return Keepalive
	case errors.Is(err, ErrStaleIncarnation), code == codes.FailedPrecondition:
		return OtherBoot
	case code == codes.PermissionDenied, strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return Untrusted
	case strings.Contains(text, "connection refused"):
		return Refused
	default:
		return Reset
	}
}
