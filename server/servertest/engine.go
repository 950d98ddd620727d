// Package servertest has an engine made of plain values, for tests of what
// stands before an engine.
package servertest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"singularity/messages"
	"singularity/server"
	"singularity/workflow"
)

// Epoch is the time at which everything happens in an [Engine].
var Epoch = time.Date(2026, time.January, 2, 3, 4, 5, 678_000_000, time.UTC)

// Engine answers from its fields. Set them before it is used; the methods are
// safe for concurrent use.
type Engine struct {
	// Err is what every method answers with, unless it is nil.
	Err error
	// Programs are the workflows that can be started.
	Programs []*workflow.Program
	// Outcome makes of a started run what it becomes at once. Defaults to a
	// completed run whose output is its input.
	Outcome func(workflow.Run) workflow.Run
	// Events are what a watcher of any run sees before its end.
	Events []workflow.Event
	// History is what Steps answers for any run.
	History []workflow.StepRun
	// Reply is what Send answers with.
	Reply json.RawMessage
	// AgentList is what Agents answers with.
	AgentList []workflow.Agent
	// Deliveries are what whoever attaches gets.
	Deliveries []workflow.Delivery
	// BatchList is what Batch and CloseBatch answer with; calls change it.
	BatchList []workflow.BatchStatus
	// QueueList is what Queues answers with.
	QueueList []workflow.Queue
	// Tree is what ActorTree answers with.
	Tree *messages.Actor
	// MemberList is what Members answers with.
	MemberList []*messages.Member
	// TakeoverList is what Takeovers answers with, up to its limit.
	TakeoverList []*messages.Takeover
	// KeyList is what Keys, AddKey, UseKey and RemoveKey answer with.
	KeyList []*messages.NodeKeys
	// ScheduleList is what Schedules answers with; calls change it.
	ScheduleList []workflow.Schedule
	// NotReady is what Ready answers with.
	NotReady error

	mu           sync.Mutex
	runs         []workflow.Run // oldest first
	starts       []workflow.StartRequest
	batches      []workflow.Batch
	sent         []Sent
	acknowledged []string
	keyChanges   []string
	changed      chan struct{} // closed when a run changes
}

// Sent is a message that an [Engine] was given.
type Sent struct {
	PID     string
	Type    string
	Payload string
}

var _ server.Engine = (*Engine)(nil)

// Put stores runs, in place of those with the same id.
func (e *Engine) Put(runs ...workflow.Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, run := range runs {
		e.put(run)
	}
}

func (e *Engine) put(run workflow.Run) {
	if at := e.index(run.ID); at >= 0 {
		e.runs[at] = run
	} else {
		e.runs = append(e.runs, run)
	}
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

func (e *Engine) index(id workflow.RunID) int {
	return slices.IndexFunc(e.runs, func(run workflow.Run) bool { return run.ID == id })
}

// Starts returns the starts that were asked for, repeated ones too.
func (e *Engine) Starts() []workflow.StartRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.starts)
}

// Sent returns the messages that were sent.
func (e *Engine) Sent() []Sent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent)
}

// Acknowledged returns what was acknowledged, as "agent/message id".
func (e *Engine) Acknowledged() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.acknowledged)
}

// KeyChanges returns what was asked of the keys, as "verb key".
func (e *Engine) KeyChanges() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.keyChanges)
}

// StartRun implements [server.Engine].
func (e *Engine) StartRun(_ context.Context, request workflow.StartRequest) (workflow.Pending, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.start(request)
}

// Batches returns what was said of batches.
func (e *Engine) Batches() []workflow.Batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.batches)
}

// StartBatch implements [server.Engine].
func (e *Engine) StartBatch(ctx context.Context, batch workflow.Batch, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	if !workflow.ValidName(batch.ID) {
		return nil, workflow.Invalidf("batch", "is %q", batch.ID)
	}
	e.mu.Lock()
	e.batches = append(e.batches, batch)
	e.mu.Unlock()
	return e.StartRuns(ctx, requests)
}

// StartRuns implements [server.Engine].
func (e *Engine) StartRuns(_ context.Context, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := slices.Clone(e.runs)
	started := make([]workflow.Pending, len(requests))
	for i, request := range requests {
		var err error
		if started[i], err = e.start(request); err != nil {
			e.runs = before
			return nil, &workflow.StartError{Index: i, Err: err}
		}
	}
	return started, nil
}

func (e *Engine) start(request workflow.StartRequest) (workflow.Pending, error) {
	e.starts = append(e.starts, request)
	if e.Err != nil {
		return nil, e.Err
	}
	if e.index(request.ID) >= 0 {
		return &pending{e, request.ID, true}, nil
	}
	at := slices.IndexFunc(e.Programs, func(program *workflow.Program) bool { return program.Name == request.Workflow })
	if at < 0 {
		return nil, fmt.Errorf("start %s: %w", request.Workflow, workflow.ErrUnknownWorkflow)
	}
	admission, err := e.Programs[at].Admit(request.Input)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", request.Workflow, err)
	}
	run := workflow.Run{
		ID:        request.ID,
		Workflow:  request.Workflow,
		Version:   e.Programs[at].Version,
		State:     workflow.Completed,
		Queue:     request.Queue,
		Priority:  request.Priority,
		Key:       request.Key,
		Epoch:     1,
		Owner:     "node-1",
		Input:     admission.Input,
		CreatedAt: Epoch,
		DueAt:     Epoch,
	}
	if run.ID.IsZero() {
		run.ID = workflow.NewRunID()
	}
	if run.Queue == "" {
		run.Queue = "default"
	}
	run.Output = run.Input
	if e.Outcome != nil {
		run = e.Outcome(run)
	}
	e.put(run)
	return &pending{e, run.ID, false}, nil
}

// PendingRun implements [server.Engine].
func (e *Engine) PendingRun(ctx context.Context, id workflow.RunID) (workflow.Pending, error) {
	if _, err := e.Run(ctx, id); err != nil {
		return nil, err
	}
	return &pending{e, id, true}, nil
}

// Run implements [server.Engine].
func (e *Engine) Run(_ context.Context, id workflow.RunID) (workflow.Run, error) {
	run, _, err := e.look(id)
	return run, err
}

// look returns a run and a channel that is closed when some run changes.
func (e *Engine) look(id workflow.RunID) (workflow.Run, <-chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Err != nil {
		return workflow.Run{}, nil, e.Err
	}
	at := e.index(id)
	if at < 0 {
		return workflow.Run{}, nil, fmt.Errorf("run %s: %w", id, workflow.ErrRunNotFound)
	}
	if e.changed == nil {
		e.changed = make(chan struct{})
	}
	return e.runs[at], e.changed, nil
}

// Runs implements [server.Engine].
func (e *Engine) Runs(_ context.Context, filter workflow.Filter) (workflow.Page, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var page workflow.Page
	for _, run := range slices.Backward(e.runs) {
		switch {
		case filter.Workflow != "" && run.Workflow != filter.Workflow,
			filter.Queue != "" && run.Queue != filter.Queue,
			filter.Key != "" && run.Key != filter.Key,
			filter.Batch != "" && run.Batch != filter.Batch,
			!strings.Contains(run.Error, filter.ErrorContains),
			len(filter.States) > 0 && !slices.Contains(filter.States, run.State),
			!filter.Before.IsZero() && run.ID.String() >= filter.Before.String():
			continue
		}
		run.Input, run.Output = nil, nil
		if page.Runs = append(page.Runs, run); len(page.Runs) == filter.Limit {
			page.Next = run.ID
			break
		}
	}
	return page, e.Err
}

// CancelRuns implements [server.Engine].
func (e *Engine) CancelRuns(ctx context.Context, filter workflow.Filter, reason string) (workflow.Changes, error) {
	filter, err := filter.ToCancel()
	if err != nil {
		return workflow.Changes{}, err
	}
	return e.changeAll(ctx, filter, func(id workflow.RunID) error {
		_, err := e.Cancel(ctx, id, reason)
		return err
	})
}

// RetryRuns implements [server.Engine]. A run with a key is refused.
func (e *Engine) RetryRuns(ctx context.Context, filter workflow.Filter) (workflow.Changes, error) {
	filter, err := filter.ToRetry()
	if err != nil {
		return workflow.Changes{}, err
	}
	return e.changeAll(ctx, filter, func(id workflow.RunID) error {
		run, err := e.Run(ctx, id)
		if err == nil && run.Key != "" {
			return &workflow.KeyConflictError{Workflow: run.Workflow, Key: run.Key, Run: workflow.RunID{1}}
		}
		_, err = e.Retry(ctx, id)
		return err
	})
}

func (e *Engine) changeAll(ctx context.Context, filter workflow.Filter, change func(workflow.RunID) error) (workflow.Changes, error) {
	page, err := e.Runs(ctx, filter)
	changes := workflow.Changes{Matched: len(page.Runs), Next: page.Next}
	for _, run := range page.Runs {
		if err := change(run.ID); err != nil {
			changes.Refused = append(changes.Refused, workflow.Refusal{Run: run.ID, Err: err})
			continue
		}
		changes.Changed++
	}
	return changes, err
}

// Steps implements [server.Engine].
func (e *Engine) Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error) {
	_, err := e.Run(ctx, id)
	return e.History, err
}

// Cancel implements [server.Engine].
func (e *Engine) Cancel(_ context.Context, id workflow.RunID, reason string) (workflow.Run, error) {
	return e.change(id, func(run *workflow.Run) { run.State, run.Error = workflow.Cancelled, reason })
}

// Retry implements [server.Engine].
func (e *Engine) Retry(_ context.Context, id workflow.RunID) (workflow.Run, error) {
	return e.change(id, func(run *workflow.Run) { run.State, run.Error = workflow.Available, "" })
}

// Score implements [server.Engine]: the answer is that of the last record of the
// history.
func (e *Engine) Score(_ context.Context, id workflow.RunID, score workflow.Score) (workflow.Scored, error) {
	if _, _, err := e.look(id); err != nil {
		return workflow.Scored{}, err
	}
	if err := score.Check(); err != nil {
		return workflow.Scored{}, err
	}
	for _, step := range slices.Backward(e.History) {
		for _, fact := range slices.Backward(step.Facts) {
			scores, _, err := score.AddTo(fact.Scores)
			fact.Scores = scores
			return workflow.Scored{Run: id, Seq: step.Seq, Step: step.Step, Fact: fact}, err
		}
	}
	return workflow.Scored{}, fmt.Errorf("score run %s: %w", id, workflow.ErrNothingToScore)
}

func (e *Engine) change(id workflow.RunID, change func(*workflow.Run)) (workflow.Run, error) {
	run, _, err := e.look(id)
	if err != nil {
		return workflow.Run{}, err
	}
	if run.State == workflow.Completed {
		return workflow.Run{}, fmt.Errorf("run %s is %s: %w", id, run.State, workflow.ErrWrongState)
	}
	change(&run)
	run.Epoch++
	e.Put(run)
	run.Input, run.Output = nil, nil
	return run, nil
}

// Watch implements [server.Engine].
func (e *Engine) Watch(ctx context.Context, id workflow.RunID) (<-chan workflow.Event, error) {
	if _, err := e.Run(ctx, id); err != nil {
		return nil, err
	}
	events := make(chan workflow.Event)
	go func() {
		defer close(events)
		for _, event := range e.Events {
			event.Run = id
			if !deliver(ctx, events, event) {
				return
			}
		}
		if run, err := (&pending{e, id, true}).Wait(ctx); err == nil {
			deliver(ctx, events, workflow.Event{Run: id, Kind: workflow.RunEnded, Ended: &run})
		}
	}()
	return events, nil
}

func deliver[T any](ctx context.Context, to chan<- T, value T) bool {
	select {
	case to <- value:
		return true
	case <-ctx.Done():
		return false
	}
}

// Workflows implements [server.Engine].
func (e *Engine) Workflows() []*workflow.Program { return e.Programs }

// Send implements [server.Engine]. Without a Reply it waits for ctx to end.
func (e *Engine) Send(ctx context.Context, pid, messageType string, payload json.RawMessage) (json.RawMessage, error) {
	e.mu.Lock()
	e.sent = append(e.sent, Sent{pid, messageType, string(payload)})
	e.mu.Unlock()
	if e.Err == nil && e.Reply == nil {
		<-ctx.Done()
		return nil, fmt.Errorf("send to %s: %w", pid, ctx.Err())
	}
	return e.Reply, e.Err
}

// Agents implements [server.Engine].
func (e *Engine) Agents(context.Context) ([]workflow.Agent, error) { return e.AgentList, e.Err }

// AttachAgent implements [server.Engine].
func (e *Engine) AttachAgent(ctx context.Context, _ string) (<-chan workflow.Delivery, error) {
	if e.Err != nil {
		return nil, e.Err
	}
	deliveries := make(chan workflow.Delivery)
	go func() {
		defer close(deliveries)
		for _, delivery := range e.Deliveries {
			if !deliver(ctx, deliveries, delivery) {
				return
			}
		}
		<-ctx.Done()
	}()
	return deliveries, nil
}

// AcknowledgeMessage implements [server.Engine].
func (e *Engine) AcknowledgeMessage(_ context.Context, agent, messageID string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acknowledged = append(e.acknowledged, agent+"/"+messageID)
	return e.Err
}

// ActorTree implements [server.Engine], with the same tree for all members.
func (e *Engine) ActorTree(_ context.Context, node string) (*messages.Actor, error) {
	if node != "" {
		if _, err := e.member(node); err != nil {
			return nil, err
		}
	}
	return e.Tree, e.Err
}

// Drain implements [server.Engine].
func (e *Engine) Drain(_ context.Context, node string) (instance string, err error) {
	return e.member(node)
}

// Keys implements [server.Engine].
func (e *Engine) Keys(context.Context) ([]*messages.NodeKeys, error) { return e.KeyList, e.Err }

// AddKey implements [server.Engine].
func (e *Engine) AddKey(_ context.Context, key string) ([]*messages.NodeKeys, error) {
	return e.changeKeys("add", key)
}

// UseKey implements [server.Engine].
func (e *Engine) UseKey(_ context.Context, fingerprint string) ([]*messages.NodeKeys, error) {
	return e.changeKeys("use", fingerprint)
}

// RemoveKey implements [server.Engine].
func (e *Engine) RemoveKey(_ context.Context, fingerprint string) ([]*messages.NodeKeys, error) {
	return e.changeKeys("remove", fingerprint)
}

func (e *Engine) changeKeys(verb, key string) ([]*messages.NodeKeys, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keyChanges = append(e.keyChanges, verb+" "+key)
	return e.KeyList, e.Err
}

// member finds a node by its label or its boot.
func (e *Engine) member(node string) (instance string, err error) {
	for _, member := range e.MemberList {
		if node == member.GetInstanceId() || node == member.GetBoot() {
			return member.GetInstanceId(), e.Err
		}
	}
	return "", fmt.Errorf("%w: no node is known as %s", workflow.ErrActorNotFound, node)
}

// Members implements [server.Engine].
func (e *Engine) Members(context.Context) ([]*messages.Member, error) { return e.MemberList, e.Err }

// Takeovers implements [server.Engine].
func (e *Engine) Takeovers(_ context.Context, limit int) ([]*messages.Takeover, error) {
	if limit > 0 && limit < len(e.TakeoverList) {
		return e.TakeoverList[:limit], e.Err
	}
	return e.TakeoverList, e.Err
}

// Metrics implements [server.Engine] with a gauge that is 1.
func (e *Engine) Metrics() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "singularity_test"}, func() float64 { return 1 })
}

// Ready implements [server.Engine].
func (e *Engine) Ready(context.Context) error { return e.NotReady }

// pending implements [workflow.Pending].
type pending struct {
	engine   *Engine
	id       workflow.RunID
	attached bool
}

func (p *pending) ID() workflow.RunID { return p.id }

func (p *pending) Attached() bool { return p.attached }

func (p *pending) Wait(ctx context.Context) (workflow.Run, error) {
	for {
		run, changed, err := p.engine.look(p.id)
		if err != nil || run.State.Terminal() {
			return run, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return workflow.Run{}, ctx.Err()
		}
	}
}
