package remoting

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
)

// handshakes are transport credentials that ask the identity anew each time.
type handshakes struct{ identity Identity }

var _ credentials.TransportCredentials = handshakes{}

func (h handshakes) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(h.identity.Client()).ClientHandshake(ctx, authority, conn)
}

func (h handshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(h.identity.Server()).ServerHandshake(conn)
}

func (h handshakes) Info() credentials.ProtocolInfo { return credentials.NewTLS(&tls.Config{}).Info() }

func (h handshakes) Clone() credentials.TransportCredentials { return h }

// OverrideServerName does nothing: a node is who its address says.
func (h handshakes) OverrideServerName(string) error { return nil }
