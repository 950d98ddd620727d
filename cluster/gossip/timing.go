package gossip

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// Timing tunes the protocol: how soon a dead member is noticed, and what it
// costs. All members of a cluster should have the same.
type Timing struct {
	// Probe is how often the member checks on one of the others. Defaults to 500ms.
	Probe time.Duration
	// Answer is how long it waits for the answer of one that it checks on, before
	// it asks others to check, too. It is shorter than Probe. Defaults to 250ms.
	Answer time.Duration
	// Suspicion says how many times Probe a member that did not answer has to show
	// that it lives, and twice as many when no other member confirms it; above ten
	// members the time grows with the logarithm of their number. Defaults to 3.
	Suspicion int
	// Gossip is how often news are passed on. Defaults to 100ms.
	Gossip time.Duration
	// Exchange is how often the member exchanges all that it knows with another,
	// in case news were lost. Defaults to 30s.
	Exchange time.Duration
	// Patience bounds a connection to another member: to make it, to write and to
	// read. Close may take as long. Defaults to 2s.
	Patience time.Duration
	// Reap is how long a dead member hears news, in case that it lives: then it is
	// forgotten. Defaults to 30s.
	Reap time.Duration
	// Rejoin is how often the member looks for others that are not members, as it
	// finds them; each time is up to half longer. Before the first times it waits
	// less. Defaults to 10s.
	Rejoin time.Duration
}

func (t Timing) withDefaults() Timing {
	t.Probe = cmp.Or(t.Probe, 500*time.Millisecond)
	t.Answer = cmp.Or(t.Answer, 250*time.Millisecond)
	t.Suspicion = cmp.Or(t.Suspicion, 3)
	t.Gossip = cmp.Or(t.Gossip, 100*time.Millisecond)
	t.Exchange = cmp.Or(t.Exchange, 30*time.Second)
	t.Patience = cmp.Or(t.Patience, 2*time.Second)
	t.Reap = cmp.Or(t.Reap, 30*time.Second)
	t.Rejoin = cmp.Or(t.Rejoin, 10*time.Second)
	return t
}

func (t Timing) validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"probe", t.Probe}, {"answer", t.Answer}, {"gossip", t.Gossip}, {"exchange", t.Exchange},
		{"patience", t.Patience}, {"reap", t.Reap}, {"rejoin", t.Rejoin},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("timing: %s %s is not positive", d.name, d.value))
		}
	}
	if t.Answer >= t.Probe {
		errs = append(errs, fmt.Errorf("timing: answer %s is not shorter than probe %s", t.Answer, t.Probe))
	}
	if t.Suspicion < 1 {
		errs = append(errs, fmt.Errorf("timing: suspicion %d is not positive", t.Suspicion))
	}
	return errors.Join(errs...)
}

func (t Timing) tune(cfg *memberlist.Config) {
	cfg.ProbeInterval = t.Probe
	cfg.ProbeTimeout = t.Answer
	cfg.SuspicionMult = t.Suspicion
	cfg.SuspicionMaxTimeoutMult = 2
	cfg.GossipInterval = t.Gossip
	cfg.PushPullInterval = t.Exchange
	cfg.TCPTimeout = t.Patience
	cfg.GossipToTheDeadTime = t.Reap
}
