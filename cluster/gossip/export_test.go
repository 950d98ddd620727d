package gossip

import "github.com/hashicorp/memberlist"

// Over returns a configuration whose member uses another network.
func (c Config) Over(transport memberlist.Transport) Config {
	c.transport = transport
	return c
}
