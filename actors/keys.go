package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// KeyChange is what is to become of the keys that encrypt the gossip of a node:
// one of the fields, or nothing at all. It may hold a secret, so it is not logged.
type KeyChange struct {
	Add    string `json:"add,omitempty"`    // a key, in base64
	Use    string `json:"use,omitempty"`    // the fingerprint of one
	Remove string `json:"remove,omitempty"` // the fingerprint of one
}

// keysRequest asks a node which keys it has after a change.
type keysRequest struct {
	KeyChange
	By string `json:"by"`
}

// keysReply answers it with fingerprints, that of the primary first.
type keysReply struct {
	Keys []string `json:"keys"`
}

// keysWithin is how long a node may take to change its keys. Two questions to a
// frozen one fit into the time that callers have.
const keysWithin = 2 * time.Second

// Keys asks all living nodes which keys encrypt their gossip.
func (n *Node) Keys(ctx context.Context) ([]*messages.NodeKeys, error) {
	return n.changeKeys(ctx, KeyChange{})
}

// AddKey makes all living nodes understand a key, in base64. Those that did not
// have an error in the answer, as with UseKey and RemoveKey. All three may be
// repeated.
func (n *Node) AddKey(ctx context.Context, key string) ([]*messages.NodeKeys, error) {
	return n.changeKeys(ctx, KeyChange{Add: key})
}

// UseKey makes all living nodes encrypt with a key. It is
// workflow.ErrNodesNotReady unless each of them has it: the others would not
// understand those that do.
func (n *Node) UseKey(ctx context.Context, fingerprint string) ([]*messages.NodeKeys, error) {
	return n.changeReadyKeys(ctx, KeyChange{Use: fingerprint}, func(keys *messages.NodeKeys) string {
		if keys.GetPrimary() != fingerprint && !slices.Contains(keys.GetOthers(), fingerprint) {
			return "does not have the key " + fingerprint
		}
		return ""
	})
}

// RemoveKey makes all living nodes forget a key. It is workflow.ErrNodesNotReady
// unless each of them encrypts with another.
func (n *Node) RemoveKey(ctx context.Context, fingerprint string) ([]*messages.NodeKeys, error) {
	return n.changeReadyKeys(ctx, KeyChange{Remove: fingerprint}, func(keys *messages.NodeKeys) string {
		if keys.GetPrimary() == fingerprint {
			return "encrypts with the key " + fingerprint
		}
		return ""
	})
}

// changeReadyKeys changes the keys of all nodes if none of them objects.
func (n *Node) changeReadyKeys(ctx context.Context, change KeyChange, objection func(*messages.NodeKeys) string) ([]*messages.NodeKeys, error) {
	nodes, err := n.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var objections []string
	for _, keys := range nodes {
		if keys.GetError() != "" {
			objections = append(objections, fmt.Sprintf("%s does not say which keys it has: %s", keys.GetInstanceId(), keys.GetError()))
		} else if why := objection(keys); why != "" {
			objections = append(objections, keys.GetInstanceId()+" "+why)
		}
	}
	if len(objections) > 0 {
		return nil, fmt.Errorf("%w: %s", workflow.ErrNodesNotReady, strings.Join(objections, "; "))
	}
	return n.changeKeys(ctx, change)
}

// changeKeys asks all nodes at once.
func (n *Node) changeKeys(ctx context.Context, change KeyChange) ([]*messages.NodeKeys, error) {
	payload, err := json.Marshal(keysRequest{change, n.cfg.Instance})
	if err != nil {
		return nil, fmt.Errorf("write to the nodes: %w", err)
	}
	nodes, err := n.living(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the nodes: %w", err)
	}
	var asked sync.WaitGroup
	for _, keys := range nodes {
		asked.Go(func() {
			answer, err := n.askForKeys(ctx, persistence.BootID(keys.GetBoot()), payload)
			switch {
			case err != nil:
				keys.Error = storedText(err.Error())
			case len(answer) > 0:
				keys.Primary, keys.Others = answer[0], answer[1:]
			}
		})
	}
	asked.Wait()
	return nodes, nil
}

func (n *Node) askForKeys(ctx context.Context, boot persistence.BootID, payload []byte) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, keysWithin)
	defer cancel()
	letter := &messages.Letter{Id: workflow.NewRunID().String(), Target: supervisorTarget, Type: "keys", PayloadJson: payload}
	var reply json.RawMessage
	var err error
	if boot == n.Boot() {
		reply, err = n.deliver(ctx, letter)
	} else {
		reply, err = n.mail(ctx, boot, letter)
	}
	if err != nil {
		return nil, err
	}
	var answer keysReply
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer.Keys, nil
}

// living lists this node and all that are registered or seen, by label.
func (n *Node) living(ctx context.Context) ([]*messages.NodeKeys, error) {
	members, err := n.store.Members(ctx)
	if err != nil {
		return nil, err
	}
	labels := map[persistence.BootID]string{n.Boot(): n.cfg.Instance}
	maps.Copy(labels, n.peers.Others())
	for _, member := range members {
		if member.Status != "offline" {
			labels[member.Boot] = member.Instance
		}
	}
	var nodes []*messages.NodeKeys
	for boot, label := range labels {
		nodes = append(nodes, &messages.NodeKeys{InstanceId: label, Boot: string(boot)})
	}
	slices.SortFunc(nodes, func(a, b *messages.NodeKeys) int {
		return strings.Compare(a.GetInstanceId()+" "+a.GetBoot(), b.GetInstanceId()+" "+b.GetBoot())
	})
	return nodes, nil
}

func (n *Node) answerKeys(letter *messages.Letter) (any, error) {
	var request keysRequest
	if err := decodePayload(letter, &request); err != nil {
		return nil, err
	}
	keys, err := n.peers.ChangeKeys(request.KeyChange)
	if err != nil {
		return nil, err
	}
	if request.KeyChange != (KeyChange{}) {
		n.log.Info("the node was asked to change the keys of the gossip", "by", request.By, "keys", keys)
	}
	return keysReply{keys}, nil
}
