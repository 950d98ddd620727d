package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/cluster/certs"
	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
)

// probeName is what the doctor calls itself where a node has its boot.
const probeName = "doctor"

// livingNode is one that the database holds to be alive.
type livingNode struct {
	instance, boot, hostname string
	pid                      int
	gossip, actors           string // addresses; empty for a program that has no Cluster
}

func (n livingNode) String() string {
	return fmt.Sprintf("%s (process %d on %s)", n.instance, n.pid, n.hostname)
}

// selectLivingNodes leaves out those that nobody has declared dead yet.
const selectLivingNodes = `
SELECT instance_id, boot, hostname, pid, coalesce(gossip_address, ''), coalesce(actors_address, '')
FROM singularity.node_leases
WHERE ended_at IS NULL AND lease_until > clock_timestamp()
ORDER BY instance_id`

// livingNodes reads the nodes. Where the schema lacks something there are none,
// which is for checkSchema to explain.
func livingNodes(ctx context.Context, conn *pgx.Conn) []livingNode {
	rows, _ := conn.Query(ctx, selectLivingNodes)
	living, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n livingNode, err error) {
		err = row.Scan(&n.instance, &n.boot, &n.hostname, &n.pid, &n.gossip, &n.actors)
		return n, err
	})
	if err != nil {
		return nil
	}
	return living
}

// clusterLook looks at what lies between a node and the others.
type clusterLook struct {
	flags  clusterFlags
	living []livingNode
	gossip gossip.Config
	actors remoting.Config
	locked bool // a secret cannot be read
}

// lookAtCluster looks at the secrets and the addresses of a node, and from there
// at the nodes that live. Without its secrets it would not even listen.
func lookAtCluster(ctx context.Context, flags clusterFlags, tlsDir string, living []livingNode) []finding {
	quiet := slog.New(slog.DiscardHandler)
	l := clusterLook{
		flags: flags, living: living,
		gossip: gossip.Config{
			Boot: probeName, Cluster: flags.name,
			Bind: cmp.Or(flags.gossip, singularity.DefaultGossip), Advertise: flags.gossipAdvertise, KeyFile: flags.keyFile, Logger: quiet,
		},
		actors: remoting.Config{
			Boot: probeName, Bind: cmp.Or(flags.actors, singularity.DefaultActors), Advertise: flags.actorsAdvertise, Logger: quiet,
		},
	}
	var findings []finding
	if flags.keyFile != "" {
		findings = append(findings, look("gossip keys", l.checkKeyFile))
	}
	if tlsDir != "" {
		findings = append(findings, look("node certificate", func() (string, error) { return l.checkIdentity(tlsDir) }))
	}
	if l.locked {
		return findings
	}
	return append(findings,
		look("gossip", func() (string, error) { return l.checkGossip(ctx) }),
		look("actors", func() (string, error) { return l.checkActors(ctx) }),
		look("members", func() (string, error) { return l.checkMembers(ctx) }),
	)
}

// checkKeyFile looks whether the keys of the gossip can be read, by this user
// alone.
func (l *clusterLook) checkKeyFile() (string, error) {
	name := l.gossip.KeyFile
	keys, err := gossip.ReadKeyFile(name)
	if err != nil {
		l.locked = true
		return "", fmt.Errorf("--gossip-key-file: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("--gossip-key-file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("--gossip-key-file: %s has mode %#o, so other users can get at the keys; chmod 600 it", name, mode)
	}
	return fmt.Sprintf("%d in %s; all nodes have to encrypt with the first, whose fingerprint is %s", len(keys), name, keys[0]), nil
}

// checkIdentity reads the certificates, for further looks, too.
func (l *clusterLook) checkIdentity(dir string) (string, error) {
	identity, err := certs.Load(dir, l.actors.Logger)
	if err != nil {
		l.locked = true
		return "", fmt.Errorf("--tls-dir: %w", err)
	}
	l.actors.TLS = identity
	_, advertised, err := l.actors.Addresses()
	if err != nil {
		return "", errors.New("it is not known under which address others reach this node: see actors")
	}
	return checkIdentity(identity, advertised)
}

func (l *clusterLook) checkGossip(ctx context.Context) (string, error) {
	bind, advertise, err := l.gossip.Addresses(ctx)
	if err != nil {
		return "", fmt.Errorf("--gossip: %w", err)
	}
	p := port{flag: "--gossip", asked: l.flags.gossip != "", bind: bind.String(), advertise: bind.String(), udp: true}
	if advertise.IsValid() {
		p.advertise = advertise.String()
	}
	return p.check(ctx, func() (livingNode, bool) {
		return l.holder(p, livingNode.gossipAddress, func(n livingNode) error { return gossip.Probe(ctx, l.gossip, n.boot, p.advertise) })
	})
}

func (l *clusterLook) checkActors(ctx context.Context) (string, error) {
	bind, advertise, err := l.actors.Addresses()
	if err != nil {
		return "", fmt.Errorf("--actors: %w", err)
	}
	p := port{flag: "--actors", asked: l.flags.actors != "", bind: bind, advertise: advertise}
	return p.check(ctx, func() (livingNode, bool) {
		return l.holder(p, livingNode.actorsAddress, func(n livingNode) error {
			return remoting.Probe(ctx, l.actors, remoting.Peer{Address: p.advertise, Boot: n.boot})
		})
	})
}

func (n livingNode) gossipAddress() string { return n.gossip }
func (n livingNode) actorsAddress() string { return n.actors }

// holder finds the node that has a port: of those that say that they have one of
// that number, the one that answers there.
func (l *clusterLook) holder(p port, address func(livingNode) string, probe func(livingNode) error) (livingNode, bool) {
	_, number, _ := net.SplitHostPort(p.advertise)
	for _, n := range l.living {
		if _, theirs, err := net.SplitHostPort(address(n)); err == nil && theirs == number && probe(n) == nil {
			return n, true
		}
	}
	return livingNode{}, false
}
