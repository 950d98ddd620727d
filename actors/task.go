package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"singularity/workflow"
)

// task is one attempt, running on a worker.
type task struct {
	cancel    context.CancelFunc
	startedAt time.Time
	over      atomic.Bool   // set by who is first: the body that returns, or who gives it up
	dropped   chan struct{} // closed when nobody waits for the answer any more
	drop      func()        // closes it and cancels; may be called again
}

// stepAnswer is what an attempt left.
type stepAnswer struct {
	state      any
	document   []byte // the encoded state; nil where no commit follows
	output     []byte // of the run, after its last step
	report     workflow.Report
	done       bool
	err        error
	finishedAt time.Time
	settle     settlement // of a transactional step; nil for others
}

// late rolls back what nobody waits for any more.
func (a *stepAnswer) late() {
	if a.settle != nil {
		close(a.settle)
	}
}

// startTask runs an attempt. The task copies the state, calls the body and
// encodes what it left, so that Receive stays free.
func (r *runActor) startTask(e runStep) {
	info := r.program.Steps[e.step]
	attempt := &workflow.Attempt{
		Run:      r.activation.Run.ID,
		Workflow: r.program.Name,
		Version:  r.program.Version,
		Step:     info.Name,
		Turn:     e.turn,
		Name:     info.TurnName(e.turn),
		Number:   e.attempt + 1,
		Epoch:    r.activation.Run.Epoch,
	}
	attempt.OnProgress = func(doc json.RawMessage) {
		r.node.watchers.publish(workflow.Event{
			Run: attempt.Run, Kind: workflow.StepProgress, Step: attempt.Name, Attempt: attempt.Number, Progress: doc,
		})
	}
	ctx, cancel := context.WithTimeoutCause(
		workflow.NewContext(r.node.stepContext, attempt), info.Timeout, &workflow.TimeoutError{Timeout: info.Timeout})
	root, self, mark, queue, node := r.node.system.Root, r.self, r.mark, r.queue, r.node
	t := &task{cancel: cancel, startedAt: time.Now(), dropped: make(chan struct{})}
	t.drop = sync.OnceFunc(func() {
		close(t.dropped)
		cancel()
	})
	r.task = t
	r.life.begin(t)
	expired := context.AfterFunc(ctx, func() { root.Send(self, timed{mark, stepExpired{e.token}}) })
	r.tell(workflow.StepStarted, e.position, nil)
	program, state := r.program, r.current
	var tx stepTransaction
	attempted := func(w *worker) {
		answer, returned := stepAnswer{err: errGoexit}, false
		defer func() {
			expired()
			cancel()
			if answer.finishedAt.IsZero() {
				answer.finishedAt = time.Now()
			}
			if !t.over.CompareAndSwap(false, true) {
				node.tellDispatcher(slotBack{queue})
			}
			answer.settle = tx.returned(answer.err)
			if returned && answer.settle == nil {
				w.release()
			}
			root.Send(self, stepAnswered{mark, e.token, answer})
			if verdict, committed := tx.end(answer.settle, t.dropped); committed {
				w.release()
				if len(answer.report.Facts) > 0 {
					node.results.record()
				}
				root.Send(self, journalled{mark, verdict})
			}
		}()
		if info.Transactional {
			var err error
			if ctx, err = tx.begin(ctx, node.steps); err != nil {
				answer = stepAnswer{err: err}
				return
			}
		}
		answer = execute(ctx, program, e.step, state, attempt)
		returned = true
	}
	if !r.worker.offer(attempted) {
		r.worker = startWorker(attempted)
	}
}

var errGoexit = errors.New("the step ended its goroutine (runtime.Goexit); a step must return")

// execute makes one attempt, on the task's goroutine.
func execute(ctx context.Context, program *workflow.Program, step int, state any, attempt *workflow.Attempt) (answer stepAnswer) {
	working, err := program.Copy(state)
	if err != nil {
		err = workflow.Permanent(fmt.Errorf("the state before step %s cannot be encoded as JSON: %w", attempt.Name, err))
		return stepAnswer{err: err, finishedAt: time.Now()}
	}
	answer.state = working
	answer.done, err = program.Execute(ctx, step, working)
	answer.finishedAt = time.Now()
	if err != nil && isContextError(err) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = context.Cause(ctx) // says how long the step had
	}
	attempt.End(err)
	report, reportErr := attempt.Report()
	if err == nil {
		err = reportErr
	}
	answer.report = report
	last := answer.done && step == len(program.Steps)-1
	switch {
	case err != nil:
	case program.Durability == workflow.Ephemeral && len(report.Messages) > 0:
		err = workflow.Permanent(errors.New("an ephemeral workflow stores nothing and cannot send messages to agents"))
	case program.Durability == workflow.Checkpointed || last && program.Durability == workflow.Restartable:
		answer.document, err = program.Encode(working, attempt.Name)
	}
	if err == nil && last {
		answer.output, err = program.Output(working)
	}
	answer.err = err
	return answer
}
