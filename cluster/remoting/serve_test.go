package remoting

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
)

// As when others take the port between the look for a free one and the start.
func TestServeOnAPortThatWasTakenMeanwhileSaysSo(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	config := Config{Boot: "b", Logger: slog.New(slog.DiscardHandler), Deliver: func(context.Context, Delivery) (Reply, error) {
		return Reply{}, nil
	}}.withDefaults()
	self := Peer{Address: taken.Addr().String(), Boot: config.Boot}
	system, bell := newSystem(config.Logger, config.Boot), newBell(config.Notify)
	defer bell.close()
	dialer := newDialer(self, newCredentials(nil, config.Logger, config.Refused), config.Limits)
	links := newLinks(system, self, dialer, config.Limits, bell)
	_, err = serve(system, self.Address, self, newGuard(self, nil, config.Logger, config.Refused), links)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("serve on a port in use: %v, want %v", err, syscall.EADDRINUSE)
	}
}
