package singularity

import (
	"context"
	"fmt"

	"singularity/actors"
	"singularity/cluster/gossip"
	"singularity/messages"
	"singularity/workflow"
)

// Keys asks all living engines of the cluster which keys encrypt their gossip. One
// that does not answer has an error in its place.
func (e *Engine) Keys(ctx context.Context) ([]*messages.NodeKeys, error) {
	nodes, err := e.node.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return nodes, nil
}

// AddKey makes all living engines of the cluster understand a key of the gossip, in
// base64 as in a key file. An engine that did not has an error in its place, as with
// UseKey and RemoveKey; all three change the key files, too, and may be repeated.
func (e *Engine) AddKey(ctx context.Context, key string) ([]*messages.NodeKeys, error) {
	parsed, err := gossip.ParseKey(key)
	if err != nil {
		return nil, workflow.Invalid("key", "cannot be used: "+err.Error())
	}
	nodes, err := e.node.AddKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("add key %s: %w", parsed, err)
	}
	return nodes, nil
}

// UseKey makes all living engines of the cluster encrypt with a key of the gossip. It
// is workflow.ErrNodesNotReady, and nothing was done, unless each of them has it.
func (e *Engine) UseKey(ctx context.Context, fingerprint string) ([]*messages.NodeKeys, error) {
	if err := gossip.CheckFingerprint(fingerprint); err != nil {
		return nil, workflow.Invalid("fingerprint", "cannot be used: "+err.Error())
	}
	nodes, err := e.node.UseKey(ctx, fingerprint)
	if err != nil {
		return nil, fmt.Errorf("use key %s: %w", fingerprint, err)
	}
	return nodes, nil
}

// RemoveKey makes all living engines of the cluster forget a key of the gossip. It is
// workflow.ErrNodesNotReady, and nothing was done, unless each of them encrypts with
// another.
func (e *Engine) RemoveKey(ctx context.Context, fingerprint string) ([]*messages.NodeKeys, error) {
	if err := gossip.CheckFingerprint(fingerprint); err != nil {
		return nil, workflow.Invalid("fingerprint", "cannot be used: "+err.Error())
	}
	nodes, err := e.node.RemoveKey(ctx, fingerprint)
	if err != nil {
		return nil, fmt.Errorf("remove key %s: %w", fingerprint, err)
	}
	return nodes, nil
}

// ChangeKeys implements [actors.Peers].
func (p *peers) ChangeKeys(change actors.KeyChange) ([]string, error) {
	m := p.membership()
	if m == nil {
		return nil, errNotInCluster
	}
	if err := changeKeys(m.Keyring(), change); err != nil {
		return nil, err
	}
	var fingerprints []string
	for _, key := range m.Keyring().Keys() {
		fingerprints = append(fingerprints, key.String())
	}
	if fingerprints == nil {
		return nil, gossip.ErrNoKeys
	}
	return fingerprints, nil
}

func changeKeys(keys *gossip.Keyring, change actors.KeyChange) error {
	switch {
	case change.Add != "":
		key, err := gossip.ParseKey(change.Add)
		if err != nil {
			return err
		}
		return keys.Add(key)
	case change.Use != "":
		return keys.Use(change.Use)
	case change.Remove != "":
		return keys.Remove(change.Remove)
	default:
		return nil
	}
}
