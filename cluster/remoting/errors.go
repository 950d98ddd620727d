package remoting

import (
	"errors"
	"fmt"
	"strings"

	"singularity/messages"
)

// Errors of a message that was not acted on.
var (
	// ErrUnreachable: there is no stream to the peer. A [*LinkError] says why.
	ErrUnreachable = errors.New("peer unreachable")
	// ErrUntrusted: this node and the peer do not accept each other's certificates.
	ErrUntrusted = errors.New("peer untrusted")
	// ErrStaleIncarnation: the process at the peer's address is another boot.
	ErrStaleIncarnation = errors.New("peer was restarted")
	// ErrStaleEpoch: the target lives in another epoch than the message says.
	ErrStaleEpoch = errors.New("target lives in another epoch")
	// ErrUnknownType: the target does not take messages of that type.
	ErrUnknownType = errors.New("message type unknown")
	// ErrUnknownTarget: the peer has nothing of that name.
	ErrUnknownTarget = errors.New("target unknown")
	// ErrTooLarge: the payload of the message, or of the reply to it, is over
	// the limit. Only the former was not acted on.
	ErrTooLarge = errors.New("payload too large")
	// ErrBusy: too many messages to the peer are under way, or it has too many to
	// serve. Try later.
	ErrBusy = errors.New("peer busy")
	// ErrInFlight: a message of that id is under way to the peer.
	ErrInFlight = errors.New("message is under way already")
	// ErrClosed: this node, or the peer, is shutting down.
	ErrClosed = errors.New("node closed")
)

// ErrInterrupted is the error of a message that was sent on a stream which broke
// before the reply: it may or may not have been acted on. Repeated with its id, it
// is not acted on twice.
var ErrInterrupted = errors.New("stream broke before the reply")

// NotOwnerError says that the target lives elsewhere. Deliver returns it, and
// Call then does.
type NotOwnerError struct {
	Owner Peer // zero if the node does not know it either
}

func (e *NotOwnerError) Error() string {
	if e.Owner == (Peer{}) {
		return "target lives on another node"
	}
	return fmt.Sprintf("target lives on %s", e.Owner)
}

// RemoteError is an error of the receiver that has no meaning here, as text.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// meanings are the errors that keep their meaning on the way.
var meanings = []struct {
	err  error
	code messages.EnvelopeError_Code
}{
	{ErrStaleIncarnation, messages.EnvelopeError_CODE_STALE_INCARNATION},
	{ErrStaleEpoch, messages.EnvelopeError_CODE_STALE_EPOCH},
	{ErrUnknownType, messages.EnvelopeError_CODE_UNKNOWN_TYPE},
	{ErrUnknownTarget, messages.EnvelopeError_CODE_UNKNOWN_TARGET},
	{ErrBusy, messages.EnvelopeError_CODE_BUSY},
	{ErrTooLarge, messages.EnvelopeError_CODE_TOO_LARGE},
	{ErrClosed, messages.EnvelopeError_CODE_CLOSED},
}

// encodeError makes a message of an error.
func encodeError(err error) *messages.EnvelopeError {
	const maxText = 4 << 10
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	encoded := &messages.EnvelopeError{Text: text}
	if elsewhere, ok := errors.AsType[*NotOwnerError](err); ok {
		encoded.Code = messages.EnvelopeError_CODE_NOT_OWNER
		encoded.OwnerAddress, encoded.OwnerBoot = elsewhere.Owner.Address, elsewhere.Owner.Boot
		return encoded
	}
	for _, known := range meanings {
		if errors.Is(err, known.err) {
			encoded.Code = known.code
			break
		}
	}
	return encoded
}

// decodeError makes an error of a message; of none, none.
func decodeError(encoded *messages.EnvelopeError) error {
	if encoded == nil {
		return nil
	}
	if encoded.GetCode() == messages.EnvelopeError_CODE_NOT_OWNER {
		return &NotOwnerError{Owner: Peer{Address: encoded.GetOwnerAddress(), Boot: encoded.GetOwnerBoot()}}
	}
	for _, known := range meanings {
		if encoded.GetCode() == known.code {
			return &codedError{encoded.GetText(), known.err}
		}
	}
	return &RemoteError{encoded.GetText()}
}

// notActedOn reports whether a message that ended so may be delivered again: it
// was refused as things stood then.
func notActedOn(encoded *messages.EnvelopeError) bool {
	switch encoded.GetCode() {
	case messages.EnvelopeError_CODE_UNSPECIFIED, messages.EnvelopeError_CODE_TOO_LARGE:
		return false
	default:
		return true
	}
}

// codedError has the receiver's words for an error that the sender knows.
type codedError struct {
	text  string
	known error
}

func (e *codedError) Error() string { return e.text }
func (e *codedError) Unwrap() error { return e.known }
