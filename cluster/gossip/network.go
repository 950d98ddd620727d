package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// network is where a member listens and where others reach it, in numbers.
type network struct {
	bind      netip.AddrPort
	advertise netip.AddrPort // not valid where memberlist is to find it
}

// network looks up the addresses. It refuses to be reached from beyond loopback
// where nothing is encrypted.
func (c Config) network(ctx context.Context, encrypted bool) (network, error) {
	var n network
	var err error
	if n.bind, err = resolve(ctx, c.Bind); err != nil {
		return network{}, err
	}
	if !encrypted && !n.bind.Addr().IsLoopback() {
		return network{}, errors.New("others could reach it from beyond loopback, and nothing would be encrypted: give all members the same keys by --gossip-key-file, or bind to 127.0.0.1")
	}
	if c.Advertise == "" {
		if n.bind.Addr() == netip.IPv6Unspecified() {
			return network{}, errors.New("all interfaces of IPv6 have no one address for others: advertise one")
		}
		return n, nil
	}
	if n.advertise, err = resolve(ctx, c.Advertise); err != nil {
		return network{}, fmt.Errorf("advertise: %w", err)
	}
	if n.advertise.Addr().IsUnspecified() {
		return network{}, fmt.Errorf("advertise %s: expected an address at which others reach this member", c.Advertise)
	}
	if n.bind.Port() == 0 && n.advertise.Port() != 0 {
		return network{}, fmt.Errorf("advertise %s: expected port 0, as in %s: nothing can lead from a fixed port to one that is not known", c.Advertise, c.Bind)
	}
	if n.advertise.Port() == 0 {
		n.advertise = netip.AddrPortFrom(n.advertise.Addr(), n.bind.Port())
	}
	return n, nil
}

// resolve turns a host:port to bind or to advertise into numbers, of IPv4 where
// there is a choice. An empty host is all interfaces.
func resolve(ctx context.Context, address string) (netip.AddrPort, error) {
	if port, all := strings.CutPrefix(address, ":"); all {
		address = netip.IPv4Unspecified().String() + ":" + port
	}
	all, err := lookup(ctx, address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	four := slices.IndexFunc(all, func(address netip.AddrPort) bool { return address.Addr().Is4() })
	return all[max(four, 0)], nil
}

// lookup returns all that a host:port stands for. There is at least one.
func lookup(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	all := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		all[i] = netip.AddrPortFrom(ip.Unmap().WithZone(""), port)
	}
	return all, nil
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: expected host:port", address)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: expected a port from 0 to 65535", address)
	}
	return host, uint16(number), nil
}
