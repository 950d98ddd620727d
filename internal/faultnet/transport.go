package faultnet

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// Transport is that of a member of memberlist, with the losses.
func Transport(inner memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
	return transport{inner}
}

type transport struct{ memberlist.NodeAwareTransport }

// WriteToAddress sends a packet, or loses it.
func (t transport) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	if loss, _ := here.to(to.Addr); here.takes(loss.Out) {
		return time.Now(), nil
	}
	return t.NodeAwareTransport.WriteToAddress(packet, to)
}

// DialAddressTimeout makes a stream.
func (t transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return Dial(ctx, to.Addr)
}
