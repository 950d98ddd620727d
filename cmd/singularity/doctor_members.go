package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
)

// probesAtOnce bounds how many nodes are asked at the same time.
const probesAtOnce = 16

// checkMembers asks each node that lives for a sign of life, as another one would.
func (l *clusterLook) checkMembers(ctx context.Context) (string, error) {
	var silent []livingNode // that no other node can ask for anything
	faults := make([]error, len(l.living))
	room := make(chan struct{}, probesAtOnce)
	var probes sync.WaitGroup
	for i, node := range l.living {
		if node.gossip == "" && node.actors == "" {
			silent = append(silent, node)
			continue
		}
		room <- struct{}{}
		probes.Go(func() {
			defer func() { <-room }()
			faults[i] = l.probe(ctx, node)
		})
	}
	probes.Wait()
	unreached := 0
	for _, fault := range faults {
		if fault != nil {
			unreached++
		}
	}
	talking := len(l.living) - len(silent)
	summary := fmt.Sprintf("%d of %d nodes that live are reached", talking-unreached, talking)
	if len(l.living) == 0 {
		summary = "no node lives"
	}
	if len(silent) > 0 {
		summary += fmt.Sprintf("; %d more, such as %s, have no address: their program makes no cluster", len(silent), silent[0])
	}
	if fault := errors.Join(faults...); fault != nil {
		return "", fmt.Errorf("%s; %s", summary, strings.ReplaceAll(fault.Error(), "\n", "; "))
	}
	return summary, nil
}

// probe says what keeps a node from being reached, and what is likely to be the
// cause.
func (l *clusterLook) probe(ctx context.Context, node livingNode) error {
	if err := explainGossip(node, gossip.Probe(ctx, l.gossip, node.boot, node.gossip)); err != nil {
		return fmt.Errorf("%s is not reached by gossip: %w", node, err)
	}
	peer := remoting.Peer{Address: node.actors, Boot: node.boot}
	if err := explainActors(node, remoting.Probe(ctx, l.actors, peer)); err != nil {
		return fmt.Errorf("%s is not reached by messages: %w", node, err)
	}
	return nil
}

func explainGossip(node livingNode, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gossip.ErrSilent):
		return fmt.Errorf("%s answers by TCP, but not by UDP; a firewall drops UDP, its --gossip-key-file or its --cluster is another, or it is paused", node.gossip)
	default:
		return explainSilence(node, node.gossip, "--gossip", err)
	}
}

func explainActors(node livingNode, err error) error {
	failure, ok := errors.AsType[*remoting.LinkError](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return err
	case failure.Reason == remoting.OtherBoot:
		return fmt.Errorf("another node answers at %s; give each an --actors, or an --actors-advertise, of its own", node.actors)
	case failure.Reason == remoting.Untrusted:
		return fmt.Errorf("%w; all nodes need certificates of one authority, each for its own address: give them --tls-dir", failure)
	case failure.Reason == remoting.Reset:
		return fmt.Errorf("%s hangs up; one side has a --tls-dir and the other has none, or something else listens there", node.actors)
	default:
		return explainSilence(node, node.actors, "--actors", err)
	}
}

// explainSilence is for an address at which nobody answers at all.
func explainSilence(node livingNode, address, flag string, err error) error {
	here, hostErr := os.Hostname()
	failure, ok := errors.AsType[*remoting.LinkError](err)
	switch {
	case hostErr == nil && node.hostname != here && isLoopback(address):
		return fmt.Errorf("it says that it is at %s, which on this machine, %s, is another place; start it with %s at an address of its network, or with %s-advertise", address, here, flag, flag)
	case errors.Is(err, syscall.ECONNREFUSED), ok && failure.Reason == remoting.Refused:
		return fmt.Errorf("nobody listens at %s; it has just ended, or its %s-advertise is wrong", address, flag)
	default:
		return fmt.Errorf("nobody answers at %s; a firewall drops what is sent there, its %s-advertise is wrong, or it is paused", address, flag)
	}
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
