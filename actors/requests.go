package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// rereadEvery is how often those who wait for a run read its row, in case a
// push was missed.
const rereadEvery = 5 * time.Second

// StartRun implements [workflow.Engine].
func (n *Node) StartRun(ctx context.Context, req workflow.StartRequest) (workflow.Pending, error) {
	pending, err := n.startRun(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", req.Workflow, err)
	}
	return pending, nil
}

func (n *Node) startRun(ctx context.Context, req workflow.StartRequest) (*pendingRun, error) {
	m, ended, err := n.accept(req)
	if err != nil {
		return nil, err
	}
	answer, err := n.ask(ctx, m)
	if err != nil {
		return nil, err
	}
	return n.pending(m, answer, ended), nil
}

// accept checks a start and makes the dispatcher's message of it. The channel
// hears how the run ended, if it begins at once.
func (n *Node) accept(req workflow.StartRequest) (admit, chan workflow.Run, error) {
	if n.draining.Load() {
		return admit{}, nil, workflow.ErrDraining
	}
	program, err := n.catalog.find(req.Workflow)
	if err != nil {
		return admit{}, nil, err
	}
	if err := n.checkOptions(req.Options, program); err != nil {
		return admit{}, nil, err
	}
	admission, err := program.Admit(req.Input)
	if err != nil {
		return admit{}, nil, err
	}
	if err := checkUnique(req.Unique, cmp.Or(req.Key, admission.Key), program.Durability); err != nil {
		return admit{}, nil, err
	}
	m, ended := n.admission(req, program, admission)
	return m, ended, nil
}

// StartRunBy starts a run by an insert of the caller's own, such as one in a
// transaction that is still open. The insert is without an owner: a node takes
// the run up once it is committed, and Wait finds it from then on.
func (n *Node) StartRunBy(
	ctx context.Context, req workflow.StartRequest,
	insert func(context.Context, persistence.Insert) (persistence.Verdict, error),
) (workflow.Pending, error) {
	m, _, err := n.accept(req)
	if err == nil && m.launch.program.Durability == workflow.Ephemeral {
		err = workflow.Invalid("workflow", "is ephemeral: nothing is stored that a transaction could hold")
	}
	var verdict persistence.Verdict
	if err == nil {
		verdict, err = insert(ctx, m.insert)
	}
	if err == nil {
		err = verdict.Err
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", req.Workflow, err)
	}
	n.expectDeadline(verdict.Wait, m.insert.Deadline)
	return n.pending(m, admitted{existing: verdict.Existing}, nil), nil
}

// ask puts a start to the dispatcher, again if that crashes over it: with the
// same id it finds what came of it before.
func (n *Node) ask(ctx context.Context, m admit) (admitted, error) {
	unknown := func(err error) error {
		return fmt.Errorf("%w: %w; the run may have started as %s", workflow.ErrOutcomeUnknown, err, m.insert.Run)
	}
	for again := false; ; again = true {
		lost, err := n.dispatcherLife.reach(ctx, n.tree.Done())
		if err != nil && !again {
			return admitted{}, fmt.Errorf("%w: %w", workflow.ErrUnavailable, err)
		}
		if err != nil {
			return admitted{}, unknown(err)
		}
		reply := make(chan admitted, 1)
		m.reply, m.chosen = reply, m.chosen || again
		n.tellDispatcher(m)
		select {
		case answer := <-reply:
			if answer.err != nil && again {
				answer.err = unknown(answer.err)
			}
			return answer, answer.err
		case <-lost:
		case <-ctx.Done():
			return admitted{}, unknown(context.Cause(ctx))
		}
	}
}

// admission makes the dispatcher's message of an accepted input.
func (n *Node) admission(req workflow.StartRequest, program *workflow.Program, admission workflow.Admission) (admit, chan workflow.Run) {
	id := req.ID
	if id.IsZero() {
		id = workflow.NewRunID()
	}
	now := time.Now()
	insert := persistence.Insert{
		Run:       id,
		Workflow:  program.Name,
		Version:   program.Version,
		Step:      program.Steps[0].Name,
		Queue:     cmp.Or(req.Queue, "default"),
		Priority:  req.Priority,
		Key:       cmp.Or(req.Key, admission.Key),
		Input:     admission.Input,
		InputHash: admission.Hash,
		Extras:    persistence.Extras{Due: req.Due, Delay: req.Delay, Deadline: cmp.Or(req.Deadline, program.Deadline), Tags: req.Tags},
	}
	insert.LimitKey = n.queues.of(insert.Queue).limitKey(insert.Input)
	insert.Unique = uniqueOf(req.Unique, insert)
	ended := make(chan workflow.Run, 1)
	run := workflow.Run{
		ID: id, Workflow: insert.Workflow, Version: insert.Version, State: workflow.Running,
		Queue: insert.Queue, Priority: insert.Priority, Key: insert.Key, Step: insert.Step,
		Epoch: 1, Owner: n.cfg.Instance, Input: insert.Input, CreatedAt: now, DueAt: now, StartedAt: &now,
	}
	if insert.Deadline > 0 {
		n.expectDeadline(insert.Delay, insert.Deadline)
		deadline := now.Add(insert.Deadline)
		run.Deadline = &deadline
	}
	return admit{
		insert: insert,
		chosen: !req.ID.IsZero(),
		launch: launch{
			activation: persistence.Activation{Run: run, Left: insert.Deadline},
			program:    program,
			first:      admission.State,
			life:       &runLife{ended: ended},
		},
	}, ended
}

func (n *Node) pending(m admit, answer admitted, ended chan workflow.Run) *pendingRun {
	switch existing := answer.existing; {
	case existing != nil:
		return &pendingRun{node: n, id: existing.ID, attached: m.chosen || existing.ID != m.insert.Run}
	case answer.owned:
		return &pendingRun{node: n, id: m.insert.Run, ended: ended}
	default:
		return &pendingRun{node: n, id: m.insert.Run}
	}
}

// Run reads one run.
func (n *Node) Run(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	run, err := n.store.Run(ctx, id)
	if !errors.Is(err, workflow.ErrRunNotFound) {
		return run, err
	}
	if run, ok := n.watchers.endedEphemeral(id); ok {
		return run, nil
	}
	run, live := n.ephemeralRun(ctx, id)
	// It may have ended between the two looks.
	if ended, ok := n.watchers.endedEphemeral(id); ok {
		return ended, nil
	}
	if live {
		return run, nil
	}
	return workflow.Run{}, err
}

// ephemeralRun finds an ephemeral run that has not ended: with its actor, or
// with the dispatcher, where it waits for a slot or is about to be started.
func (n *Node) ephemeralRun(ctx context.Context, id workflow.RunID) (workflow.Run, bool) {
	reply := make(chan workflow.Run, 2)
	if !n.sendLive(runPID(id), queryRun{reply}) {
		n.tellDispatcher(findRun{id, reply})
	}
	patience := time.NewTimer(time.Second) // an actor may stop with the question unread
	defer patience.Stop()
	select {
	case run := <-reply:
		return run, !run.ID.IsZero()
	case <-patience.C:
	case <-ctx.Done():
	}
	return workflow.Run{}, false
}

// sendLive sends a message to an actor of this node, if there is one.
func (n *Node) sendLive(name string, message any) bool {
	pid := n.pid(name)
	if _, live := n.system.ProcessRegistry.GetLocal(name); !live {
		return false
	}
	n.system.Root.Send(pid, message)
	return true
}

// Runs lists a page of runs, newest first, without their documents.
func (n *Node) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	return n.store.Runs(ctx, filter)
}

// Steps returns a run's history.
func (n *Node) Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error) {
	return n.store.Steps(ctx, id)
}

// Workflows returns the newest version of each registered workflow, by name.
func (n *Node) Workflows() []*workflow.Program { return n.catalog.list() }

// Cancel ends a run. The row says so when Cancel returns; a step under way has
// its context cancelled.
func (n *Node) Cancel(ctx context.Context, id workflow.RunID, reason string) (workflow.Run, error) {
	verdict, err := n.journal.Commit(ctx, persistence.Cancel{Run: id, Reason: storedText(reason)})
	if errors.Is(err, workflow.ErrRunNotFound) {
		return n.cancelEphemeral(ctx, id)
	}
	if err != nil {
		return workflow.Run{}, fmt.Errorf("cancel run %s: %w", id, err)
	}
	n.cancelled(*verdict.Changed)
	return *verdict.Changed, nil
}

// cancelled lets everybody know that a run's row says so.
func (n *Node) cancelled(run workflow.Run) {
	n.watchers.end(run)
	n.tellCancelled(run.ID, run.Epoch)
	n.tellCancelledElsewhere(run.ID)
	n.stirBatch(run)
	n.tellDispatcher(roomMade{run.Queue})
}

// tellCancelled stops the run's actor: at once, if it is there, or as soon as
// it is.
func (n *Node) tellCancelled(id workflow.RunID, epoch int64) {
	row := rowCancelled{epoch}
	n.sendLive(runPID(id), row)
	n.tellDispatcher(cancelRun{id, row})
}

func (n *Node) cancelEphemeral(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	run, err := n.Run(ctx, id)
	switch {
	case err != nil:
		return workflow.Run{}, fmt.Errorf("cancel run %s: %w", id, err)
	case run.State.Terminal():
		return workflow.Run{}, fmt.Errorf("cancel run %s: %w: it %s before", id, workflow.ErrWrongState, run.State)
	}
	n.tellCancelled(id, run.Epoch+1)
	run.State = workflow.Cancelled
	return run, nil
}

// Retry makes a run that has ended without completing, or that waits for an
// unknown step, available again at the step where it stands.
func (n *Node) Retry(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	verdict, err := n.journal.Commit(ctx, persistence.Retry{Run: id})
	if err != nil {
		return workflow.Run{}, fmt.Errorf("retry run %s: %w", id, err)
	}
	n.retried(*verdict.Changed)
	return *verdict.Changed, nil
}

// retried lets those know of a run that may claim it.
func (n *Node) retried(run workflow.Run) {
	if n.catalog.version(run.Workflow, run.Version) == nil {
		n.tellWaiting(run.Queue)
	}
	n.tellDispatcher(released{queue: run.Queue})
}

// Watch returns what happens to a run from now on, until it has ended or ctx
// ends. RunEnded comes last, at once for a run that has ended before. A reader
// that lags behind loses events, but not that one.
func (n *Node) Watch(ctx context.Context, id workflow.RunID) (<-chan workflow.Event, error) {
	watcher := n.watchers.subscribe(id, true)
	n.lookElsewhere(id)
	run, err := n.Run(ctx, id)
	if err != nil {
		n.watchers.unsubscribe(watcher)
		return nil, err
	}
	events := make(chan workflow.Event)
	go func() {
		defer close(events)
		defer n.watchers.unsubscribe(watcher)
		n.watch(ctx, run, watcher, events)
	}()
	return events, nil
}

func (n *Node) watch(ctx context.Context, run workflow.Run, watcher *watcher, events chan<- workflow.Event) {
	reread := time.NewTicker(rereadEvery)
	defer reread.Stop()
	for !run.State.Terminal() {
		select {
		case event := <-watcher.events:
			if !offer(ctx, events, event) {
				return
			}
		case run = <-watcher.ended:
		case <-reread.C:
			n.lookElsewhere(run.ID)
			if read, err := n.Run(ctx, run.ID); err == nil {
				run = read
			}
		case <-ctx.Done():
			return
		case <-n.tree.Done():
			last, told := lastWord(nil, watcher.ended)
			if !told {
				return
			}
			run = last
		}
	}
	for len(watcher.events) > 0 {
		if !offer(ctx, events, <-watcher.events) {
			return
		}
	}
	offer(ctx, events, workflow.Event{Run: run.ID, Kind: workflow.RunEnded, Ended: &run})
}

func offer(ctx context.Context, events chan<- workflow.Event, event workflow.Event) bool {
	select {
	case events <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

// recheck reads a run's row for those who wait for its end, when this node
// lost the run without hearing how it ended.
func (n *Node) recheck(id workflow.RunID) {
	if !n.watchers.waitedFor(id) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(n.stepContext, rereadEvery)
		defer cancel()
		if run, err := n.Run(ctx, id); err == nil && run.State.Terminal() {
			n.watchers.end(run)
		}
	}()
}
