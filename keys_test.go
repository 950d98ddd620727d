package singularity_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity"
	"singularity/cluster/gossip"
	"singularity/internal/testpostgres"
	"singularity/messages"
	"singularity/workflow"
)

// wantKeys expects all engines to have one key, and then others.
func wantKeys(t *testing.T, nodes []*messages.NodeKeys, err error, primary gossip.Key, others ...gossip.Key) {
	t.Helper()
	var want []string
	for _, key := range others {
		want = append(want, key.String())
	}
	for _, keys := range nodes {
		if keys.GetPrimary() != primary.String() || strings.Join(keys.GetOthers(), " ") != strings.Join(want, " ") || keys.GetError() != "" {
			t.Errorf("got %v, want %s and then %v", keys, primary, others)
		}
	}
	if err != nil || len(nodes) != 2 {
		t.Errorf("got %d engines, %v; want two", len(nodes), err)
	}
}

// answered asks again while an engine does not answer in time, as it may on a
// busy machine, for a minute.
func answered(ask func() ([]*messages.NodeKeys, error)) (nodes []*messages.NodeKeys, err error) {
	for begun := time.Now(); time.Since(begun) < patience; {
		nodes, err = ask()
		silent := slices.ContainsFunc(nodes, func(keys *messages.NodeKeys) bool { return keys.GetError() != "" })
		if err == nil && !silent {
			break
		}
	}
	return nodes, err
}

func TestKeysOfEnginesAreReplacedOverSecuredStreams(t *testing.T) {
	t.Parallel()
	var log memo
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	database, of := testpostgres.URL(t), secured(t)
	of.Gossip, of.Actors = "127.0.0.1:0", "127.0.0.1:0"
	before, err := gossip.ReadKeyFile(of.GossipKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	older, newer := before[0], gossip.NewKey()
	var engines []*singularity.Engine
	var files []string
	for _, instance := range []string{"a", "b"} {
		of.GossipKeyFile = filepath.Join(t.TempDir(), instance)
		if err := gossip.WriteKeyFile(of.GossipKeyFile, before); err != nil {
			t.Fatal(err)
		}
		files = append(files, of.GossipKeyFile)
		engines = append(engines, open(t, singularity.Config{DatabaseURL: database, Instance: instance, Cluster: &of, Logger: logger}))
	}
	a, b := engines[0], engines[1]
	answers(t, a, "b")

	nodes, err := answered(func() ([]*messages.NodeKeys, error) { return a.AddKey(t.Context(), newer.Encode()) })
	wantKeys(t, nodes, err, older, newer)
	nodes, err = answered(func() ([]*messages.NodeKeys, error) { return b.UseKey(t.Context(), newer.String()) })
	wantKeys(t, nodes, err, newer, older)
	if nodes, err := a.RemoveKey(t.Context(), newer.String()); !errors.Is(err, workflow.ErrNodesNotReady) {
		t.Errorf("removing the key in use: got %v, %v", nodes, err)
	}
	nodes, err = answered(func() ([]*messages.NodeKeys, error) { return a.RemoveKey(t.Context(), older.String()) })
	wantKeys(t, nodes, err, newer)
	if nodes, err := b.UseKey(t.Context(), older.String()); !errors.Is(err, workflow.ErrNodesNotReady) {
		t.Errorf("using a key that is gone: got %v, %v", nodes, err)
	}
	nodes, err = answered(func() ([]*messages.NodeKeys, error) { return b.Keys(t.Context()) })
	wantKeys(t, nodes, err, newer)

	for _, file := range files {
		if keys, err := gossip.ReadKeyFile(file); err != nil || len(keys) != 1 || keys[0].String() != newer.String() {
			t.Errorf("the file has %v, %v; want the new key", keys, err)
		}
	}
	if text := log.String(); !strings.Contains(text, newer.String()) || strings.Contains(text, newer.Encode()) || strings.Contains(text, older.Encode()) {
		t.Errorf("got log %s, want fingerprints and no key", text)
	}
}

func TestEngineRefusesWhatIsNoKeyAndDoesNotShowIt(t *testing.T) {
	t.Parallel()
	const secret = "c2l4dGVlbiBieXRlcyA6"
	engine := open(t, singularity.Config{})
	for verb, change := range map[string]func() ([]*messages.NodeKeys, error){
		"add":    func() ([]*messages.NodeKeys, error) { return engine.AddKey(t.Context(), secret) },
		"use":    func() ([]*messages.NodeKeys, error) { return engine.UseKey(t.Context(), secret) },
		"remove": func() ([]*messages.NodeKeys, error) { return engine.RemoveKey(t.Context(), secret) },
	} {
		nodes, err := change()
		if input, ok := errors.AsType[*workflow.InputError](err); !ok || strings.Contains(input.Error(), secret) {
			t.Errorf("%s: got %v, %v; want that the input is refused", verb, nodes, err)
		}
	}
}

func TestGossipWithoutKeysGetsNone(t *testing.T) {
	t.Parallel()
	engine := openMember(t, testpostgres.URL(t), "a", singularity.Cluster{})
	nodes, err := engine.AddKey(t.Context(), gossip.NewKey().Encode())
	if err != nil || len(nodes) != 1 || !strings.Contains(nodes[0].GetError(), "--gossip-key-file") {
		t.Errorf("got %v, %v; want the flag", nodes, err)
	}
}
