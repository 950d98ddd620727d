package centralcloud

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The queues between the nodes and the hub.
const (
	UpQueue  = "centralcloud_updates" // from all nodes: an [Update] or a [Hello] each
	DeadUp   = "dead_up"              // what the hub could not make sense of
	DeadDown = "dead_down"            // what nodes could not make sense of

	downPrefix = "instance_learning_"
)

const (
	maxLabel  = 29 // characters of a label in the name of a queue
	cutLabel  = 20 // of one that had to be changed, before the hash of all of it
	hashBytes = 4
)

// DownQueue is the queue from the hub to the node with a label. A label that is
// too long for it, or has other characters than a-z, 0-9 and _, is cut, and ends
// with a hash by which it stays different from others.
func DownQueue(label string) string {
	plain := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(label))
	if plain == label && len(label) <= maxLabel && label != "" {
		return downPrefix + label
	}
	hash := sha256.Sum256([]byte(label))
	return downPrefix + plain[:min(len(plain), cutLabel)] + "_" + hex.EncodeToString(hash[:hashBytes])
}
