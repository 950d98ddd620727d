package remoting

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Identity is how a node proves that it belongs to the cluster, and tells who
// else does. It is asked anew for each connection, so that certificates can be
// renewed.
type Identity interface {
	Server() *tls.Config
	Client() *tls.Config
	// Authorise returns the name of the holder of a verified certificate if it
	// is a node of this cluster.
	Authorise(*x509.Certificate) (name string, err error)
}

// Config says what a node is, and what it does with messages.
type Config struct {
	// Boot is the id of this start of the process. Required.
	Boot string
	// Bind is the host:port to listen on; port 0 is any free one. Beyond loopback
	// it needs TLS. Defaults to 127.0.0.1:0.
	Bind string
	// Advertise is the host:port at which other nodes reach this one. Defaults to
	// the address that is listened on.
	Advertise string
	// TLS secures all connections, in both directions. Defaults to none.
	TLS Identity
	// Deliver acts on a message, on a goroutine of its own, and returns the reply
	// to it or an error; ErrUnknownType, ErrUnknownTarget, ErrStaleEpoch, ErrBusy,
	// ErrClosed and *NotOwnerError keep their meaning on the way back, and say that
	// nothing was done, so that the message may come again; any other error is
	// an answer. Its context ends when the sender stops waiting, and when the node
	// closes; Close waits for it. Required.
	Deliver func(context.Context, Delivery) (Reply, error)
	// Epoch returns the epoch in which a target lives here. A message that names
	// another one is refused before it is delivered. Defaults to knowing none.
	Epoch func(target string) (epoch int64, known bool)
	// Notify learns when the stream to a peer of SetPeers stands and when it does
	// not. It gets one event after the other, and may use the node.
	Notify func(Event)
	// Undelivered learns which messages of Tell ended in an error, and in which.
	// It is called on any goroutine, so it must be quick, and must not Call.
	// Defaults to the log.
	Undelivered func(Peer, Message, error)
	// Refused learns of each peer and message that is not let in. It is called on
	// any goroutine, so it must be quick. Defaults to nobody.
	Refused func(Refusal)
	// Logger hears of refused connections and messages. Defaults to slog.Default.
	Logger *slog.Logger
	// Limits bound what peers can make the node hold.
	Limits Limits
}

// Limits are bounds in time and memory.
type Limits struct {
	// Payload is the size of the largest payload. Defaults to 512 KiB, the most
	// that is possible.
	Payload int
	// Window is how many bytes may be under way to one peer. Each message counts
	// as 16 KiB more than its payload. Defaults to 4 MiB, 256 small messages.
	Window int64
	// Deliveries is how many messages are acted on at once. Defaults to 256.
	Deliveries int
	// Remembered is how many replies are kept for messages that are repeated, and
	// RememberedBytes how large they may be together. Defaults to 4096 and 8 MiB.
	Remembered      int
	RememberedBytes int
	// Timeout is how long a message without a deadline is waited for. Defaults
	// to 5s.
	Timeout time.Duration
	// Dial is how long it may take until a peer has said who it is. Defaults to 2s.
	Dial time.Duration
	// Redial is the longest pause between attempts to reach a peer. Defaults to 2s.
	Redial time.Duration
	// Goodbye is how long a node that closes waits for its peers to let go; a frozen
	// one does not hear. Defaults to 200ms.
	Goodbye time.Duration
	// Standing is how many peers get a standing stream; of more, the nearest in
	// the ring of all. Defaults to 16.
	Standing int
}

func (c Config) withDefaults() Config {
	c.Bind = cmp.Or(c.Bind, "127.0.0.1:0")
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Epoch == nil {
		c.Epoch = func(string) (int64, bool) { return 0, false }
	}
	if c.Notify == nil {
		c.Notify = func(Event) {}
	}
	if c.Undelivered == nil {
		log := c.Logger
		c.Undelivered = func(to Peer, m Message, err error) {
			log.Debug("message not delivered", "peer", to, "target", m.Target, "type", m.Type, "error", err)
		}
	}
	if c.Refused == nil {
		c.Refused = func(Refusal) {}
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Payload:         cmp.Or(l.Payload, maxPayload),
		Window:          cmp.Or(l.Window, 4<<20),
		Deliveries:      cmp.Or(l.Deliveries, 256),
		Remembered:      cmp.Or(l.Remembered, 4096),
		RememberedBytes: cmp.Or(l.RememberedBytes, 8<<20),
		Timeout:         cmp.Or(l.Timeout, 5*time.Second),
		Dial:            cmp.Or(l.Dial, 2*time.Second),
		Redial:          cmp.Or(l.Redial, 2*time.Second),
		Goodbye:         cmp.Or(l.Goodbye, 200*time.Millisecond),
		Standing:        cmp.Or(l.Standing, 16),
	}
}

func (c Config) validate() error {
	var faults []error
	if !bootID.MatchString(c.Boot) {
		faults = append(faults, fmt.Errorf("boot %q: expected 1 to 64 letters, digits, - or _", c.Boot))
	}
	if c.Deliver == nil {
		faults = append(faults, errors.New("no Deliver: nobody would act on messages"))
	}
	if l := c.Limits; l.Payload < 0 || l.Payload > maxPayload || l.Window < int64(l.Payload)+overhead {
		faults = append(faults, fmt.Errorf("payload of %d bytes in a window of %d: expected at most %d, and a window that holds one and %d bytes more",
			l.Payload, l.Window, maxPayload, overhead))
	}
	return errors.Join(append(faults, c.validateBind())...)
}

func (c Config) validateBind() error {
	host, port, err := net.SplitHostPort(c.Bind)
	if err != nil {
		return fmt.Errorf("address %q to listen on: expected host:port", c.Bind)
	}
	switch {
	case c.TLS == nil && !isLoopback(host):
		return fmt.Errorf("listen on %s: beyond loopback, nodes talk by mutual TLS only; give --tls-dir a folder that \"singularity certs node\" has filled", c.Bind)
	case c.Advertise == "" && isUnspecified(host):
		return fmt.Errorf("listen on %s: it is no address for other nodes; say which one they reach this node at", c.Bind)
	case c.Advertise != "" && port == "0":
		return fmt.Errorf("listen on %s: a node that is reached at %s needs a port of its own, not any free one", c.Bind, c.Advertise)
	case c.Advertise != "":
		return Peer{Address: c.Advertise, Boot: "any"}.validate()
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
