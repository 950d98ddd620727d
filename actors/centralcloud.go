package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"singularity/centralcloud"
	"singularity/messages"
	"singularity/workflow"
)

// CentralCloud is how a node takes part in what all nodes learn.
type CentralCloud struct {
	// Queue is the way to the hub. Without one, the node counts nothing, sends
	// nothing and learns nothing.
	Queue centralcloud.Queue
	// Present reports whether there is a hub at the other end of Queue. It is asked at
	// the start, and whenever the store has heard that there may be one now; until
	// there is, it is as if the node had no Queue. Nil means that there is one, even if
	// it cannot be reached.
	Present func(context.Context) (bool, error)
	// ResultsEvery is how often results are sent, when there are any. Defaults to
	// 30s.
	ResultsEvery time.Duration
	// LearningsEvery is how often the queue from the hub is read. Defaults to 10s.
	LearningsEvery time.Duration
}

func (c CentralCloud) withDefaults() CentralCloud {
	c.ResultsEvery = cmp.Or(c.ResultsEvery, 30*time.Second)
	c.LearningsEvery = cmp.Or(c.LearningsEvery, 10*time.Second)
	return c
}

func (c CentralCloud) validate() error {
	var errs []error
	for what, every := range map[string]time.Duration{"results are sent": c.ResultsEvery, "learnings are read": c.LearningsEvery} {
		if every < 0 {
			errs = append(errs, fmt.Errorf("%s every %s; expected a duration, or 0 for the default", what, every))
		}
	}
	return errors.Join(errs...)
}

// keptForCounting is how long runs are kept at least, so that their records are
// sent while they are all there.
func (c CentralCloud) keptForCounting() time.Duration { return 5*time.Minute + 2*c.ResultsEvery }

// Learned is what the hub has taught this node, and what it knew when it started.
// Without a hub it is nothing.
func (n *Node) Learned() *centralcloud.Learned { return n.learned.Load() }

var errNoHub = fmt.Errorf("%w: this node has no hub; set one up in its database, or start it with --centralcloud-database-url", workflow.ErrActorNotFound)

// seekHub looks for a hub, unless there is one, and has the node take part in it.
func (n *Node) seekHub(ctx context.Context) (found bool, err error) {
	present := n.cfg.CentralCloud.Present
	if n.results == nil || n.results.on() || present == nil {
		return n.results.on(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, hubPatience)
	defer cancel()
	if found, err = present(ctx); err != nil || !found {
		return false, err
	}
	n.results.begin()
	n.results.record() // what the node did before is to be told, too
	n.log.Info("there is a hub in this node's database; the node tells it of its calls, and learns from it")
	return true, nil
}

// hubAnnounced hears that there may be a hub now.
func (n *Node) hubAnnounced() {
	if n.results != nil && !n.results.on() && n.started.Load() {
		n.system.Root.Send(n.pid(learningsActorName), hubMayBe{})
	}
}

// answerHub answers a letter to sync or learnings.
func (n *Node) answerHub(ctx context.Context, letter *messages.Letter) (any, error) {
	target := letter.GetTarget()
	if !n.results.on() {
		return nil, errNoHub
	}
	switch letter.GetType() {
	case "ping":
		reply := make(chan struct{}, 1)
		n.system.Root.Send(n.pid(target), pingActor{reply})
		if _, err := await(ctx, reply); err != nil {
			return nil, err
		}
		return pong{target, n.cfg.Instance}, nil
	case "flush":
		if target == syncActorName {
			return n.flushResults(ctx, false)
		}
		return n.flushLearnings(ctx)
	case "show":
		if target == learningsActorName {
			return n.showLearned(), nil
		}
	}
	if target == learningsActorName {
		return nil, unknownType(letter, "ping", "flush", "show")
	}
	return nil, unknownType(letter, "ping", "flush")
}

// shownLearned is what the node was taught, for people.
type shownLearned struct {
	Policy     *shownPolicy               `json:"policy"` // null for none
	Patterns   map[string]json.RawMessage `json:"patterns"`
	Savings    *centralcloud.Savings      `json:"savings"`
	Benchmarks json.RawMessage            `json:"benchmarks"`
}

// shownPolicy is which policy a node chooses by, and how old it is.
type shownPolicy struct {
	Version    int64     `json:"version"`
	MadeAt     time.Time `json:"made_at"`
	AgeSeconds float64   `json:"age_seconds"` // since the node learned it
	Rows       int       `json:"rows"`
}

func (n *Node) showLearned() shownLearned {
	learned := n.Learned()
	shown := shownLearned{Patterns: learned.Patterns, Benchmarks: learned.Benchmarks}
	if learned.Savings.Settings != nil {
		shown.Savings = &learned.Savings
	}
	if policy := learned.Policy; policy != nil {
		shown.Policy = &shownPolicy{policy.Version, policy.MadeAt, time.Since(policy.Received).Round(time.Millisecond).Seconds(), len(policy.Rows)}
	}
	return shown
}
