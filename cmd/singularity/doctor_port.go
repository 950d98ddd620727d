package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// reachPatience is how long the doctor waits for what should be there at once.
const reachPatience = 2 * time.Second

// port is where a node is to listen for others, by TCP and perhaps by UDP.
type port struct {
	flag      string
	asked     bool   // for this very port; else a node takes a free one instead
	bind      string // host:port
	advertise string // host:port, for others
	udp       bool
}

// check looks whether a node could listen there and be reached, or whether one
// does, which is for holder to find out.
func (p port) check(ctx context.Context, holder func() (livingNode, bool)) (string, error) {
	detail, err := p.try(ctx)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return detail, err
	}
	inUse := p.bind + " is in use"
	if failure, ok := errors.AsType[*net.OpError](err); ok {
		inUse += " by " + map[bool]string{true: "UDP", false: "TCP"}[failure.Net == "udp"]
	}
	switch node, found := holder(); {
	case found && p.asked:
		return fmt.Sprintf("node %s answers at %s", node, p.advertise), nil
	case found:
		return fmt.Sprintf("node %s answers at %s; another one takes a free port", node, p.advertise), nil
	case p.asked:
		return "", fmt.Errorf("%s: %s, and no node of this database answers at %s; choose another port, or end what listens there", p.flag, inUse, p.advertise)
	default:
		return inUse + ", and not by a node of this database; a node takes a free port", nil
	}
}

// try listens for a moment, and sends itself something by the address for others.
func (p port) try(ctx context.Context) (detail string, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", p.bind)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.flag, err)
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	bound := listener.Addr().String()
	var packets net.PacketConn
	by := "by TCP"
	if p.udp {
		by = "by TCP and UDP"
		if packets, err = new(net.ListenConfig).ListenPacket(ctx, "udp", bound); err != nil {
			return "", fmt.Errorf("%s: %w", p.flag, err)
		}
		defer func() { err = errors.Join(err, packets.Close()) }()
	}
	if p.advertise == p.bind {
		return p.bind + " is free, " + by, nil
	}
	advertise := withPort(p.advertise, bound)
	if err := reach(ctx, advertise, listener, packets); err != nil {
		return "", fmt.Errorf("%s-advertise: others are told %s, which does not lead to %s: %w; name the address of this machine, or see to the forwarding and the firewall before it",
			p.flag, advertise, p.bind, err)
	}
	return fmt.Sprintf("%s is free, and %s leads there, %s", p.bind, advertise, by), nil
}

// withPort replaces port 0 by that of another address.
func withPort(address, other string) string {
	host, number, err := net.SplitHostPort(address)
	_, bound, _ := net.SplitHostPort(other)
	if err != nil || number != "0" {
		return address
	}
	return net.JoinHostPort(host, bound)
}

// reach sends something to an address, and waits for it at the listeners.
func reach(ctx context.Context, address string, listener net.Listener, packets net.PacketConn) error {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	if err := reachTCP(ctx, address, listener, deadline); err != nil {
		return fmt.Errorf("by TCP: %w", err)
	}
	if packets == nil {
		return nil
	}
	if err := reachUDP(ctx, address, packets, deadline); err != nil {
		return fmt.Errorf("by UDP: %w", err)
	}
	return nil
}

var errElsewhere = errors.New("what is sent there does not arrive here")

func reachTCP(ctx context.Context, address string, listener net.Listener, deadline time.Time) error {
	token := rand.Text()
	conn, err := sendTo(ctx, "tcp", address, token)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if limited, ok := listener.(*net.TCPListener); ok {
		_ = limited.SetDeadline(deadline)
	}
	for {
		arrived, err := listener.Accept()
		if err != nil {
			return errElsewhere
		}
		got := make([]byte, len(token))
		_ = arrived.SetDeadline(deadline)
		_, err = io.ReadFull(arrived, got)
		_ = arrived.Close()
		if err == nil && string(got) == token {
			return nil
		}
	}
}

func reachUDP(ctx context.Context, address string, packets net.PacketConn, deadline time.Time) error {
	token := rand.Text()
	conn, err := sendTo(ctx, "udp", address, token)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = packets.SetReadDeadline(deadline)
	for got := make([]byte, len(token)); ; {
		n, _, err := packets.ReadFrom(got)
		if err != nil {
			return errElsewhere
		}
		if string(got[:n]) == token {
			return nil
		}
	}
}

func sendTo(ctx context.Context, network, address, what string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, what); err != nil {
		return nil, cmp.Or(err, conn.Close())
	}
	return conn, nil
}
