package gossip

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// searchAgain is how soon others are looked for the second time; each further
	// wait is twice as long, up to Timing.Rejoin.
	searchAgain = 200 * time.Millisecond
	// joinAtOnce bounds how many addresses are tried in one search. Each member
	// that is found knows the others of its part of the cluster.
	joinAtOnce = 8
)

// search looks for those who ought to be members and are not, again and again:
// what memberlist has forgotten it does not look for itself.
type search struct {
	g *Gossip
	// What went wrong in the last search and in this one, by the address that was
	// to be joined, to report it once.
	last, now map[string]string
}

func newSearch(g *Gossip) *search { return &search{g: g} }

// run searches until the context ends.
func (s *search) run(ctx context.Context) {
	wait := min(searchAgain, s.g.cfg.Timing.Rejoin)
	for {
		s.once(ctx)
		timer := time.NewTimer(wait + rand.N(wait/2+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, s.g.cfg.Timing.Rejoin)
	}
}

// once tries to join whoever is missing.
func (s *search) once(ctx context.Context) {
	s.last, s.now = s.now, map[string]string{}
	missing := s.missing(ctx)
	reasons := make([]error, len(missing))
	var joins sync.WaitGroup
	for i, address := range missing {
		joins.Go(func() { _, reasons[i] = s.g.list.Join([]string{address}) })
	}
	joins.Wait()
	for i, address := range missing {
		if reasons[i] != nil {
			s.warn(ctx, "a node was not joined: it may be down, cut off, or have other keys or another cluster name", address, reasons[i])
		}
	}
}

// warn reports what was not so in the last search, unless it is due to the end.
func (s *search) warn(ctx context.Context, what, address string, err error) {
	s.now[address] = err.Error()
	if s.last[address] != s.now[address] && ctx.Err() == nil {
		s.g.log.Warn(what, "address", address, "error", err)
	}
}

// missing returns some of the addresses that ought to be members' and are not,
// in no order.
func (s *search) missing(ctx context.Context) []string {
	view := s.g.View()
	var missing []string
	for _, wanted := range slices.Concat(s.g.cfg.Seeds, s.peers(ctx)) {
		for _, address := range s.numbers(ctx, wanted) {
			if !view.Occupied(address) && !slices.Contains(missing, address) {
				missing = append(missing, address)
			}
		}
	}
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	return missing[:min(len(missing), joinAtOnce)]
}

// peers asks for addresses, in a limited time.
func (s *search) peers(ctx context.Context) []string {
	limited, cancel := context.WithTimeout(ctx, s.g.cfg.Timing.Patience)
	defer cancel()
	peers, err := s.g.cfg.Peers(limited)
	if err != nil {
		s.warn(ctx, "the addresses of the other nodes are not known; they are asked for again", "", err)
	}
	return peers
}

// numbers returns the addresses that a host:port stands for. What stands for
// none today may do so tomorrow.
func (s *search) numbers(ctx context.Context, address string) []string {
	limited, cancel := context.WithTimeout(ctx, s.g.cfg.Timing.Patience)
	defer cancel()
	all, err := lookup(limited, address)
	if err != nil {
		s.warn(ctx, "a node was not joined: its address is not known", address, err)
	}
	texts := make([]string, len(all))
	for i, address := range all {
		texts[i] = address.String()
	}
	return texts
}
