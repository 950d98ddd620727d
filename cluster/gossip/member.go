package gossip

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// Meta is what a member says about itself. It is small: see [Gossip.Update].
type Meta struct {
	// Role says what the process does in the cluster, as "node" or "centralcloud".
	Role string `json:"role,omitempty"`
	// Actors is the host:port of its actors, for other members.
	Actors string `json:"actors,omitempty"`
	// API is the URL of its API, for clients.
	API string `json:"api,omitempty"`
	// Version of the program.
	Version string `json:"version,omitempty"`
}

// Member is a process in the cluster, as it describes itself.
type Member struct {
	// Boot is its name: see [Config.Boot].
	Boot string
	// Instance is the label that people know it by.
	Instance string
	// Address is the host:port of its gossip, in numbers.
	Address string
	Meta
	// Leaving says that it announced that it is about to leave.
	Leaving bool
}

// format is the version of what encode writes. Later versions add fields, which
// earlier members ignore; only one that earlier members must not read raises the
// number.
const format = 1

// card is the metadata of a member as it travels. Boot and Address travel beside
// it. Its encoding may have [memberlist.MetaMaxSize] bytes.
type card struct {
	Format   int    `json:"v"`
	Instance string `json:"instance,omitempty"`
	Meta
	Leaving bool `json:"leaving,omitempty"`
}

// encode refuses a card that would be too large if the member was leaving, so
// that it can say so when it does.
func (c card) encode() ([]byte, error) {
	c.Format = format
	encoded, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	largest := len(encoded)
	if !c.Leaving {
		largest += len(`,"leaving":true`)
	}
	if largest > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("metadata of %d bytes, expected at most %d: shorten what is long of the instance (%d bytes), role (%d), addresses of the actors (%d) and the API (%d), version (%d)",
			largest, memberlist.MetaMaxSize, len(c.Instance), len(c.Role), len(c.Actors), len(c.API), len(c.Version))
	}
	return encoded, nil
}

func decode(encoded []byte) (card, error) {
	var c card
	if err := json.Unmarshal(encoded, &c); err != nil {
		return card{}, fmt.Errorf("metadata %.80q: %w", encoded, err)
	}
	if c.Format < 1 || c.Format > format {
		return card{}, fmt.Errorf("metadata of format %d, expected at most %d: is the other member of a later version?", c.Format, format)
	}
	return c, nil
}
