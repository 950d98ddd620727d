package remoting

import (
	"cmp"
	"context"
)

// Addresses are where a node would listen, and where others would reach it. It
// refuses what Listen refuses before it listens.
func (c Config) Addresses() (bind, advertise string, err error) {
	c = c.withDefaults()
	return c.Bind, cmp.Or(c.Advertise, c.Bind), c.validateBind()
}

// Probe makes a stream to a peer, as another node would, and ends it. A
// [*LinkError] says why there is none. Of config it takes the boot, which names
// who asks, TLS and the limits.
func Probe(ctx context.Context, config Config, to Peer) error {
	config = config.withDefaults()
	self := Peer{Address: "probe:0", Boot: config.Boot}
	c, err := newDialer(self, newCredentials(config.TLS, config.Logger, config.Refused), config.Limits).dial(ctx, to)
	if err != nil {
		return &LinkError{to, reasonOf(err), err}
	}
	c.close()
	return nil
}
