package workflow

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Step is one step of a workflow with state S: an immutable value. Its methods
// return changed copies.
type Step[S any] struct {
	info StepInfo
	own  bool // the policy, rather than the workflow's
	body func(context.Context, *S) (done bool, err error)
}

// StepInfo describes a step.
type StepInfo struct {
	Name          string
	Kind          StepKind
	Timeout       time.Duration
	Retry         Retry
	Transactional bool
}

// StepKind is the form of a step.
type StepKind string

// The kinds of steps.
const (
	KindDo   StepKind = "do"
	KindLoop StepKind = "loop"
)

// TurnName names one turn in keys, errors and listings: "agent[17]" for a
// Loop, the bare name for the other kinds.
func (i StepInfo) TurnName(turn int) string {
	if i.Kind != KindLoop {
		return i.Name
	}
	return fmt.Sprintf("%s[%d]", i.Name, turn)
}

// defaultTimeout is what an attempt may take unless the step says otherwise.
const defaultTimeout = 30 * time.Second

// Do is a step that runs body once and is then finished. The body changes the
// state in place; an error, a panic or a timeout drops those changes.
func Do[S any](name string, body func(context.Context, *S) error) Step[S] {
	return newStep(name, KindDo, body != nil, func(ctx context.Context, s *S) (bool, error) {
		return true, body(ctx, s)
	})
}

// Loop is a step that repeats turn until it is done. Each turn is a checkpoint
// of its own, with its own attempts and its own idempotency key, so that a
// resumed loop goes on at the turn after the last finished one.
func Loop[S any](name string, turn func(context.Context, *S) (done bool, err error)) Step[S] {
	return newStep(name, KindLoop, turn != nil, turn)
}

func newStep[S any](name string, kind StepKind, hasBody bool, body func(context.Context, *S) (bool, error)) Step[S] {
	if !hasBody {
		panic(fmt.Sprintf("workflow: step %q has no body", name))
	}
	return Step[S]{
		info: StepInfo{Name: name, Kind: kind, Timeout: defaultTimeout, Retry: Retry{}.withDefaults()},
		body: body,
	}
}

// Timeout sets how long one attempt, or one turn, may take before its context
// is cancelled and it counts as failed. Defaults to 30s. A body that goes on
// all the same is waited for another 5s, then given up.
func (s Step[S]) Timeout(d time.Duration) Step[S] {
	if d <= 0 {
		panic(fmt.Sprintf("workflow: step %q: timeout %s is not positive", s.info.Name, d))
	}
	s.info.Timeout = d
	return s
}

// Retry sets what follows a failed attempt, in place of the workflow's policy.
func (s Step[S]) Retry(policy Retry) Step[S] {
	policy.Delays = slices.Clone(policy.Delays)
	s.info.Retry, s.own = policy.withDefaults(), true
	return s
}

// Transactional makes each attempt run in a transaction of the engine's
// database: what the body writes through it and the step's checkpoint commit
// together, or not at all. The store's package hands the transaction out, such
// as postgres.Tx(ctx). The transaction is open for as long as the body runs, so
// keep it short. Only checkpointed workflows may have such steps, and an engine
// refuses them on a store that cannot do it.
func (s Step[S]) Transactional() Step[S] {
	s.info.Transactional = true
	return s
}
