package singularity_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/cluster/certs"
	"singularity/cluster/gossip"
	"singularity/internal/testpostgres"
	"singularity/messages"
	"singularity/persistence/postgres"
)

// openMember opens an engine that belongs to a cluster.
func openMember(t *testing.T, database, instance string, of singularity.Cluster) *singularity.Engine {
	t.Helper()
	of.Gossip, of.Actors = "127.0.0.1:0", "127.0.0.1:0"
	return open(t, singularity.Config{DatabaseURL: database, Instance: instance, Cluster: &of})
}

// answers waits until one engine answers another by its label.
func answers(t *testing.T, from *singularity.Engine, instance string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		reply, err := from.Send(ctx, instance+"/dispatcher", "ping", nil)
		if err == nil && strings.Contains(string(reply), `"node":"`+instance+`"`) {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %s, %v", instance, reply, err)
		}
	}
}

func memberOf(t *testing.T, engine *singularity.Engine, instance string) *messages.Member {
	t.Helper()
	members, err := engine.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range members {
		if member.GetInstanceId() == instance {
			return member
		}
	}
	t.Fatalf("no member %s in %v", instance, members)
	return nil
}

// secured is a cluster with certificates and keys.
func secured(t *testing.T) singularity.Cluster {
	t.Helper()
	dir := t.TempDir()
	of := singularity.Cluster{TLSDir: filepath.Join(dir, "node"), GossipKeyFile: filepath.Join(dir, "keys")}
	if err := certs.Init(filepath.Join(dir, "ca"), "test"); err != nil {
		t.Fatal(err)
	}
	if err := certs.Node(filepath.Join(dir, "ca"), of.TLSDir, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := gossip.WriteKeyFile(of.GossipKeyFile, []gossip.Key{gossip.NewKey()}); err != nil {
		t.Fatal(err)
	}
	return of
}

func TestEnginesFindEachOtherInTheDatabase(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]singularity.Cluster{"plain": {}, "secured": secured(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testpostgres.URL(t)
			a, b := openMember(t, database, "a", of), openMember(t, database, "b", of)
			answers(t, a, "b")
			answers(t, b, "a")
		})
	}
}

// nameOf is what the cluster on a database is called.
func nameOf(t *testing.T, database string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	identity, err := postgres.IdentityOf(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return singularity.ClusterName(identity)
}

// Members of two clusters may come upon each other's ports.
func TestClustersOfTwoDatabasesRefuseEachOther(t *testing.T) {
	t.Parallel()
	database, other := testpostgres.URL(t), testpostgres.URL(t)
	a := memberOf(t, openMember(t, database, "a", singularity.Cluster{}), "a")
	probe := gossip.Config{Boot: "probe", Bind: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	for name, known := range map[string]bool{nameOf(t, database): true, nameOf(t, other): false, "singularity": false} {
		probe.Cluster = name
		if known {
			probed(t, probe, a)
			continue
		}
		if err := gossip.Probe(t.Context(), probe, a.GetBoot(), a.GetGossipAddress()); !errors.Is(err, gossip.ErrSilent) {
			t.Errorf("to %s the engine answers %v; want no answer", name, err)
		}
	}
}

func TestClusterThatIsGivenANameHasIt(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := memberOf(t, openMember(t, database, "a", singularity.Cluster{Name: "mine-" + nameOf(t, database)}), "a")
	probe := gossip.Config{Boot: "probe", Bind: "127.0.0.1:0", Cluster: "mine-" + nameOf(t, database), Logger: slog.New(slog.DiscardHandler)}
	probed(t, probe, a)
}

// probed probes a member until it answers, as it does before long on a machine
// that is busy with more.
func probed(t *testing.T, probe gossip.Config, a *messages.Member) {
	t.Helper()
	err := gossip.ErrSilent
	for begun := time.Now(); errors.Is(err, gossip.ErrSilent) && time.Since(begun) < patience; {
		err = gossip.Probe(t.Context(), probe, a.GetBoot(), a.GetGossipAddress())
	}
	if err != nil {
		t.Errorf("to %s the engine answers %v; want an answer", probe.Cluster, err)
	}
}

func TestEngineThatWasDeclaredDeadComesBackAtItsAddresses(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a, b := openMember(t, database, "a", singularity.Cluster{}), openMember(t, database, "b", singularity.Cluster{})
	answers(t, a, "b")
	before := memberOf(t, a, "b")
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `
UPDATE singularity.node_leases SET state = 'dead', ended_at = clock_timestamp(), ended_by = 'lapsed' WHERE boot = $1`, before.GetBoot())
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for after.GetBoot() == before.GetBoot() { // with the next renewal
		select {
		case <-time.After(20 * time.Millisecond):
			after = memberOf(t, a, "b")
		case <-t.Context().Done():
			t.Fatal("the engine did not join anew")
		}
	}
	answers(t, a, "b")
	answers(t, b, "a")
	if after.GetActorsAddress() != before.GetActorsAddress() || after.GetGossipAddress() != before.GetGossipAddress() {
		t.Errorf("the engine is at %v now, want it where it was: %v", after, before)
	}
}

func TestClusterNeedsADatabaseThatIsShared(t *testing.T) {
	t.Parallel()
	engine, err := singularity.Open(t.Context(), singularity.Config{DataDir: t.TempDir(), Cluster: &singularity.Cluster{}})
	if err == nil || !strings.Contains(err.Error(), "DatabaseURL") {
		t.Errorf("Open answered %v, %v, want an error that names what to set", engine, err)
	}
}
