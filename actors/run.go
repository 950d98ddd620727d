package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

// grace is how long an interrupted step may take to return before its slot
// counts as lost.
const grace = 5 * time.Second

// runActor runs one run: the shell around [runState]. A step's body runs
// outside Receive, as a task with a context. When the actor crashes its
// supervisor starts it anew, and it goes on from its row under a new epoch.
type runActor struct {
	node      *Node
	queue     string
	solo      bool  // tell the dispatcher of the first commit
	restarted bool  // by its supervisor, after a crash
	unstored  bool  // its insert is on its way
	launched  int64 // mark of the launch
	boot      persistence.BootID
	mark      int64 // of this actor, among all of the node; tells what is late
	life      *runLife
	self      *actor.PID

	activation persistence.Activation
	program    *workflow.Program
	state      runState
	current    any // the run's state after its last finished step
	summary    *workflow.Summary
	carried    workflow.Report    // of finished steps that no commit has stored yet
	sent       []workflow.Message // in the commit under way
	deadline   *time.Timer        // nil for none
	task       *task              // the attempt under way, or the last one
	worker     *worker            // where it takes place; nil before the first one
	answer     stepAnswer         // of that attempt
	begun      time.Time          // here; noted only for a hub
}

// Messages that the actor gets beside the events of run_state.go.
type (
	// stepAnswered comes from the task.
	stepAnswered struct {
		mark   int64
		token  int64
		answer stepAnswer
	}
	// journalled comes from the journal.
	journalled struct {
		mark    int64
		verdict persistence.Verdict
	}
	// timed wraps an event of a timer.
	timed struct {
		mark  int64
		event event
	}
	// stored says that the run's insert has landed as owned, or else that the
	// run is not, or not here.
	stored struct {
		mark  int64 // of the launch
		owned bool
	}
	// rowCancelled says that the run's row is cancelled, and has been since the
	// given epoch.
	rowCancelled struct{ epoch int64 }
	// queryRun asks for the run as its actor knows it.
	queryRun struct{ reply chan<- workflow.Run }
)

const runPrefix = "run/"

// runPID is the name under which a run's actor is found.
func runPID(id workflow.RunID) string { return runPrefix + id.String() }

// Receive implements [actor.Actor].
func (r *runActor) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		r.self = ctx.Self()
		if r.node.results.on() {
			r.begun = time.Now()
		}
		switch {
		case r.restarted:
			r.recover()
		case r.unstored:
			r.state.phase = loading
		default:
			r.activate(r.activation)
		}
	case stored:
		if r.unstored && message.mark == r.launched {
			r.stored(message.owned)
		}
	case *actor.Stopping:
		if r.deadline != nil {
			r.deadline.Stop() // it may be far off
		}
		r.life.interrupt()
	case stepAnswered:
		if message.mark != r.mark || message.token != r.state.token {
			message.answer.late()
			return
		}
		r.answer = message.answer
		r.carry(r.answer)
		r.handle(stepReturned{message.token, r.answer.done, r.answer.err, rand.Float64()})
	case journalled:
		if message.mark == r.mark {
			r.journalled(message.verdict)
		}
	case timed:
		if message.mark == r.mark {
			r.handle(message.event)
		}
	case rowCancelled:
		if message.epoch > r.activation.Run.Epoch { // else the row was retried since
			r.handle(cancelled{})
		}
	case event:
		r.handle(message)
	case rollCall:
		if r.unstored {
			return // a dispatcher that asks does not know of the insert; it finds the run when it is stored
		}
		r.node.tellDispatcher(runAlive{r.reading(), r.launched})
	case queryRun:
		message.reply <- r.reading()
	}
}

// recover takes the run over from the crashed actor of this process.
func (r *runActor) recover() {
	if t := r.life.interrupt(); t != nil {
		time.AfterFunc(grace, func() { r.node.abandon(t, r.queue) })
	}
	if r.program.Durability == workflow.Ephemeral {
		r.leave(leave{workflow.Failed, errors.New("the actor of this ephemeral run crashed")})
		return
	}
	r.state.phase = loading
	r.append(persistence.Reactivate{Run: r.activation.Run.ID, Boot: r.boot})
}

// stored begins what was launched ahead of its insert.
func (r *runActor) stored(owned bool) {
	r.unstored = false
	if owned {
		r.activate(r.activation)
	} else {
		r.node.system.Root.Stop(r.self)
	}
}

func (r *runActor) journalled(verdict persistence.Verdict) {
	switch {
	case r.state.phase == loading && verdict.Err != nil:
		r.leave(leave{workflow.Running, verdict.Err})
	case r.state.phase == loading:
		r.activate(verdict.Activations[0])
	case verdict.Err != nil:
		r.handle(refused{verdict.Err})
	default:
		for _, message := range r.sent {
			r.node.agents.arrived(message.Agent)
		}
		r.sent = nil
		r.handle(committed{})
		if r.solo && r.state.phase != ended {
			r.solo = false
			r.node.tellDispatcher(soloPassed{r.activation.Run.ID})
		}
	}
}

// activate begins, or goes on, where the activation says.
func (r *runActor) activate(activation persistence.Activation) {
	run := activation.Run
	r.activation = activation
	r.summary = activation.Summary
	at := position{step: r.program.StepIndex(run.Step), turn: run.Turn, attempt: run.Attempt}
	r.state = runState{
		steps:      r.program.Steps,
		durability: r.program.Durability,
		phase:      idle,
		seq:        activation.Seq,
		position:   at,
		stored:     at,
		draining:   r.state.draining || r.node.draining.Load(), // it may have been said before the actor was there
		evicting:   r.state.evicting,
		lost:       r.state.lost,
	}
	current, err := r.restore(activation)
	r.current = current
	if run.Deadline != nil {
		r.state.overdue = activation.Left <= 0
		r.deadline = r.after(activation.Left, deadlineOver{})
	}
	r.handle(began{err})
}

// restore makes the run's state from its last checkpoint, or from its input.
func (r *runActor) restore(activation persistence.Activation) (any, error) {
	if activation.State != nil {
		return r.program.Decode(activation.State)
	}
	if !r.restarted && r.current != nil {
		return r.current, nil // just admitted
	}
	admission, err := r.program.Admit(activation.Run.Input)
	if err != nil {
		return nil, fmt.Errorf("the stored input is refused: %w", err)
	}
	return admission.State, nil
}

func (r *runActor) handle(e event) {
	for _, effect := range r.state.apply(e) {
		r.perform(effect)
	}
}

func (r *runActor) perform(e effect) {
	switch e := e.(type) {
	case runStep:
		r.startStep(e)
	case interrupt:
		r.task.cancel()
	case armGrace:
		r.after(grace, graceOver{e.token, rand.Float64()})
	case armBackoff:
		r.after(e.delay, backoffOver{e.token})
	case commit:
		r.commit(e)
	case keep:
		r.current = r.answer.state
	case attemptFailed:
		r.tellFailed(e)
	case attemptSnoozed:
		r.tell(workflow.StepSnoozed, e.ran, func(event *workflow.Event) { event.Retry = e.delay })
	case attemptFinished:
		r.tell(workflow.StepFinished, e.ran, func(event *workflow.Event) {
			event.Elapsed = r.answer.finishedAt.Sub(r.task.startedAt)
		})
	case abandon:
		r.answer = stepAnswer{finishedAt: time.Now()}
		r.node.log.Warn("a step ignores its cancelled context; its slot is lost until it returns",
			"run", r.activation.Run.ID, "step", r.stepName(r.state.position))
		r.node.abandon(r.task, r.queue)
	case leave:
		r.leave(e)
	}
}

// startStep starts an attempt, unless the node's lease may be over: then
// somebody else may be about to run the step.
func (r *runActor) startStep(e runStep) {
	if r.program.Durability != workflow.Ephemeral && !r.node.standing.admit(r.self) {
		r.handle(leaseLate{e.token})
		return
	}
	r.startTask(e)
}

// abandon gives up a body that goes on after its context was cancelled: its
// slot is lost until it returns.
func (n *Node) abandon(t *task, queue string) {
	// Before the mark, so that the answer of the body does not overtake it.
	n.tellDispatcher(slotLost{queue})
	if !t.over.CompareAndSwap(false, true) {
		n.tellDispatcher(slotBack{queue}) // it returned just now
	}
}

func (r *runActor) after(delay time.Duration, e event) *time.Timer {
	root, self, mark := r.node.system.Root, r.self, r.mark
	return time.AfterFunc(delay, func() { root.Send(self, timed{mark, e}) })
}

func (r *runActor) append(write persistence.Write) {
	root, self, mark := r.node.system.Root, r.self, r.mark
	r.node.journal.AppendBy(r.worker, write, func(verdict persistence.Verdict) {
		root.Send(self, journalled{mark, verdict})
	})
}

// commit appends what a commit effect says. A state that cannot be encoded is
// refused before the journal could.
func (r *runActor) commit(c commit) {
	write, err := r.advance(c)
	if err != nil {
		r.handle(refused{err})
		return
	}
	if settle := r.answer.settle; settle != nil && c.entry == checkpoint {
		r.answer.settle = nil
		settle <- write
		return
	}
	r.append(write)
}

// carry keeps what an attempt reported until a commit stores it; a restartable
// run's commit is long after. Messages are sent by successful attempts only.
func (r *runActor) carry(answer stepAnswer) {
	if _, snoozed := workflow.Snoozed(answer.err); snoozed || r.program.Durability == workflow.Ephemeral {
		return
	}
	r.carried.Facts = append(r.carried.Facts, answer.report.Facts...)
	if answer.err == nil {
		r.carried.Messages = append(r.carried.Messages, answer.report.Messages...)
	}
	if answer.report.Summary != nil {
		merged := r.summary.Merge(*answer.report.Summary)
		r.summary = &merged
	}
}

// advance writes a commit effect out.
func (r *runActor) advance(c commit) (persistence.Advance, error) {
	run := r.activation.Run
	write := persistence.Advance{
		Fence:   persistence.Fence{Run: run.ID, Boot: r.boot, Epoch: run.Epoch, Seq: r.state.seq},
		State:   c.state,
		Step:    r.stepName(c.next),
		Turn:    c.next.turn,
		Attempt: c.next.attempt,
		Delay:   c.delay,
		Reason:  c.reason,
	}
	if c.state == workflow.Waiting {
		write.Step = run.Step // the name that nobody here knows
	}
	if c.failure != nil {
		write.Error = errorText(c.failure)
	}
	if c.state == workflow.Completed && r.summary != nil {
		r.summary.ErrorClass = "" // of an attempt that a later one made good
	}
	if c.state.Terminal() && !c.bare {
		write.Summary = r.summary
	}
	if c.entry == noEntry {
		return write, nil
	}
	entry, err := r.entry(c)
	write.Entry = entry
	return write, err
}

func (r *runActor) entry(c commit) (_ *persistence.Entry, err error) {
	entry := &persistence.Entry{
		Step:       r.stepName(c.ran),
		Turn:       c.ran.turn,
		Attempt:    c.ran.attempt + 1,
		Outcome:    workflow.StepCompleted,
		StartedAt:  r.task.startedAt,
		FinishedAt: r.answer.finishedAt,
	}
	if c.failure != nil {
		entry.Outcome, entry.Error = workflow.StepFailed, errorText(c.failure)
	}
	switch c.entry {
	case checkpoint:
		entry.State, entry.Output = r.answer.document, r.answer.output
		if entry.State == nil {
			entry.State, err = r.program.Encode(r.answer.state, entry.Step)
		}
	case savedState, failedSaving:
		entry.State, err = r.program.Encode(r.current, entry.Step)
	case failedAttempt, noEntry:
	}
	if err != nil {
		return nil, err
	}
	entry.Summary, entry.Facts, entry.Messages = r.summary, r.carried.Facts, r.carried.Messages
	r.sent = r.carried.Messages
	r.carried = workflow.Report{}
	return entry, nil
}

func (r *runActor) stepName(at position) string {
	if at.step < 0 || at.step >= len(r.program.Steps) {
		return ""
	}
	return r.program.Steps[at.step].Name
}

// errorText is an error as it is stored.
func errorText(err error) string { return storedText(err.Error()) }

// storedText is a text as it is stored: valid, of limited size.
func storedText(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
	if len(text) <= workflow.MaxError {
		return text
	}
	const note = "… (cut)"
	cut := workflow.MaxError - len(note)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + note
}

func (r *runActor) tellFailed(e attemptFailed) {
	level := slog.LevelWarn
	if panicked := (*workflow.PanicError)(nil); errors.As(e.err, &panicked) {
		level = slog.LevelError
	}
	attributes := []any{"run", r.activation.Run.ID, "workflow", r.program.Name,
		"step", r.program.Steps[e.ran.step].TurnName(e.ran.turn), "attempt", e.ran.attempt + 1, "error", e.err}
	if e.retry >= 0 {
		attributes = append(attributes, "retry_in", e.retry)
	}
	r.node.log.Log(context.Background(), level, "attempt failed", attributes...)
	r.tell(workflow.StepAttemptFailed, e.ran, func(event *workflow.Event) {
		event.Error, event.Retry = errorText(e.err), max(e.retry, 0)
		event.Elapsed = r.answer.finishedAt.Sub(r.task.startedAt)
	})
}

// tell publishes an event, if anybody watches.
func (r *runActor) tell(kind workflow.EventKind, at position, fill func(*workflow.Event)) {
	if !r.node.watchers.watched(r.activation.Run.ID) {
		return
	}
	event := workflow.Event{
		Run: r.activation.Run.ID, Kind: kind, Step: r.program.Steps[at.step].TurnName(at.turn), Attempt: at.attempt + 1,
	}
	if fill != nil {
		fill(&event)
	}
	r.node.watchers.publish(event)
}

// reading is the run as its actor knows it.
func (r *runActor) reading() workflow.Run {
	run := r.activation.Run
	run.State = workflow.Running
	run.Step = r.stepName(r.state.position)
	run.Turn, run.Attempt = r.state.position.turn, r.state.position.attempt
	return run
}

// leave ends the activation: it tells who waits for the run, and the
// dispatcher, which stops the actor.
func (r *runActor) leave(e leave) {
	r.state.phase = ended
	run := r.reading()
	run.State = e.state
	if e.err != nil {
		run.Error = errorText(e.err)
	}
	if e.state.Terminal() {
		r.node.stirBatch(run)
	}
	if r.node.results.on() && !r.begun.IsZero() && (e.state == workflow.Completed || e.state == workflow.Failed) {
		r.node.results.ended(e.state, time.Since(r.begun), r.summary)
	}
	switch {
	case !e.state.Terminal():
		r.life.over(nil)
	case r.program.Durability == workflow.Ephemeral:
		run = r.outcome(run)
		r.node.watchers.endEphemeral(run)
		r.life.over(&run)
	case e.state == workflow.Completed:
		run = r.outcome(run)
		r.node.watchers.end(run)
		r.node.tellEnded(run.ID)
		r.life.over(&run)
	case errors.Is(e.err, errCancelled):
		r.life.over(nil) // who cancelled it has told the others, and the row says why
	default:
		r.node.watchers.end(r.outcome(run))
		r.node.tellEnded(run.ID)
		r.life.over(nil) // a retry may change it
	}
	r.node.tellDispatcher(runLeft{
		id: run.ID, mark: r.launched, queue: r.queue, state: e.state, delay: r.state.pending.delay, err: e.err,
	})
	r.node.system.Root.Stop(r.self)
}

// outcome is how a run ended just now.
func (r *runActor) outcome(run workflow.Run) workflow.Run {
	now := time.Now()
	run.FinishedAt = &now
	if run.State == workflow.Completed {
		run.Output = r.answer.output
	}
	return run
}
