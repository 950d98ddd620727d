//go:build faulttest

package gossip

import "github.com/hashicorp/memberlist"

// Over makes all members of this process that are opened from now on use the
// network through something that fault tests can break.
func Over(wrap func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport) {
	replaceTransport = func(settings *memberlist.Config) (err error) {
		for range 10 { // a port that is free for TCP may be taken for UDP
			var bound *memberlist.NetTransport
			bound, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
				BindAddrs: []string{settings.BindAddr}, BindPort: settings.BindPort, Logger: settings.Logger,
			})
			if err == nil {
				settings.Transport = wrap(bound)
				break
			}
		}
		return err
	}
}
