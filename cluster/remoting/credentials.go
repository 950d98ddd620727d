package remoting

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// handshakes are transport credentials that ask the identity anew each time.
type handshakes struct {
	identity Identity
	log      *slog.Logger
	refused  func(Refusal) // hears of the clients of a server
}

var _ credentials.TransportCredentials = handshakes{}

func newCredentials(identity Identity, log *slog.Logger, refused func(Refusal)) credentials.TransportCredentials {
	if identity == nil {
		return plain{insecure.NewCredentials(), log}
	}
	return handshakes{identity, log, refused}
}

// ClientHandshake waits for the first byte of the server, which speaks first in
// gRPC. In TLS 1.3 a client is done before the server has looked at its
// certificate, and whoever writes by then may never read why it was refused.
func (h handshakes) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := credentials.NewTLS(h.identity.Client()).ClientHandshake(ctx, authority, conn)
	if err != nil {
		return nil, nil, err
	}
	if _, err := authorise(h.identity, info); err != nil {
		return nil, nil, fmt.Errorf("tls: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	first := make([]byte, 1)
	if _, err := io.ReadFull(secured, first); err != nil {
		return nil, nil, err
	}
	return &accepted{Conn: secured, ahead: first}, info, nil
}

// plain are transport credentials without encryption.
type plain struct {
	credentials.TransportCredentials

	log *slog.Logger
}

// tlsHandshake is the first byte of a client that encrypts.
const tlsHandshake = 22

// ServerHandshake says why a client is refused that encrypts: those who wait for
// its messages cannot know.
func (p plain) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return nil, nil, err
	}
	if first[0] == tlsHandshake {
		p.log.Warn("refused a connection: the peer has a certificate and this node has none; give it one of the cluster by --tls-dir", "peer", conn.RemoteAddr())
	}
	return p.TransportCredentials.ServerHandshake(&accepted{Conn: conn, ahead: first})
}

func (p plain) Clone() credentials.TransportCredentials {
	return plain{p.TransportCredentials.Clone(), p.log}
}

// authorise returns the name in the certificate of a peer, if it is of the cluster.
func authorise(identity Identity, info credentials.AuthInfo) (name string, err error) {
	secure, ok := info.(credentials.TLSInfo)
	if !ok || len(secure.State.PeerCertificates) == 0 {
		return "", errors.New("no certificate")
	}
	return identity.Authorise(secure.State.PeerCertificates[0])
}

// accepted is a connection that was read ahead.
type accepted struct {
	net.Conn

	ahead []byte
}

// Read returns what was read ahead first.
func (a *accepted) Read(p []byte) (int, error) {
	if len(a.ahead) == 0 {
		return a.Conn.Read(p)
	}
	n := copy(p, a.ahead)
	a.ahead = a.ahead[n:]
	return n, nil
}

func (h handshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := credentials.NewTLS(h.identity.Server()).ServerHandshake(conn)
	if err != nil && !errors.Is(err, io.EOF) { // EOF: it only looked whether anybody listens
		h.refused(RefusedPeer)
		h.log.Warn("refused a connection", "peer", conn.RemoteAddr(), "error", err)
	}
	return secured, info, err
}

func (h handshakes) Info() credentials.ProtocolInfo { return credentials.NewTLS(&tls.Config{}).Info() }

func (h handshakes) Clone() credentials.TransportCredentials { return h }

// OverrideServerName does nothing: a node is who its address says.
func (h handshakes) OverrideServerName(string) error { return nil }
