package gossip

import "context"

// follow makes views of what memberlist says, until the context ends.
func (g *Gossip) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.inbox.wake:
			g.collect()
		}
	}
}

// collect makes one view of all that came in.
func (g *Gossip) collect() {
	notices, conflicts := g.inbox.fetch()
	gone := map[string]Change{}
	for _, n := range notices {
		change, err := g.roster.take(n)
		if change != nil {
			gone[n.boot] = *change
		}
		if err != nil {
			g.log.Warn("what a member says about itself cannot be read and is ignored", "boot", n.boot, "address", n.address, "error", err)
		}
	}
	before, after := g.View(), g.roster.view()
	g.board.put(after, gone)
	for _, change := range changes(before, after, gone) {
		g.report(change)
	}
	for _, c := range conflicts {
		g.log.Error("two processes have one boot; the later one is ignored", "boot", c.boot, "address", c.address, "other", c.other)
	}
}

func (g *Gossip) report(change Change) {
	m := change.Member
	if m.Boot == g.cfg.Boot {
		return
	}
	log := g.log.With("boot", m.Boot, "instance", m.Instance, "address", m.Address)
	switch change.Kind {
	case Joined:
		log.Info("a member joined the cluster", "role", m.Role, "version", m.Version)
	case Updated:
		log.Debug("a member says something else about itself", "leaving", m.Leaving)
	case Left:
		log.Info("a member left the cluster")
	case Dead:
		log.Warn("a member of the cluster does not answer and is taken for dead")
	}
}
