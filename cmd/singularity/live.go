package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

// liveView shows on a terminal what a run is doing: a line for each attempt
// that has ended, and one that changes.
type liveView struct {
	out   io.Writer
	shown map[string]bool // the attempts that have their line; nil until the backfill
}

// liveView returns a view that shows nothing unless a person looks at stderr.
func (c *cli) liveView() *liveView {
	if isTerminal(c.stderr) {
		return newLiveView(c.stderr)
	}
	return &liveView{out: io.Discard, shown: map[string]bool{}}
}

func newLiveView(out io.Writer) *liveView { return &liveView{out: out} }

// caughtUp reports whether the view knows what happened before it began.
func (v *liveView) caughtUp() bool { return v.shown != nil }

// backfill shows the attempts that ended before the view began.
func (v *liveView) backfill(history []*messages.StepRun) {
	v.shown = map[string]bool{}
	for _, step := range history {
		name := step.GetStep()
		if step.GetTurn() > 0 {
			name = fmt.Sprintf("%s[%d]", name, step.GetTurn())
		}
		name = attemptName(name, step.GetAttempt())
		v.shown[attemptKey(name)] = true
		if workflow.StepOutcome(step.GetOutcome()) == workflow.StepCompleted {
			v.line("✓", fmt.Sprintf("%s  %s", name, brief(step.GetFinishedAt().AsTime().Sub(step.GetStartedAt().AsTime()))))
		} else {
			v.line("✗", fmt.Sprintf("%s  %s", name, excerpt(step.GetError())))
		}
	}
}

func attemptName(step string, attempt int32) string {
	if attempt > 1 {
		return fmt.Sprintf("%s (attempt %d)", step, attempt)
	}
	return step
}

// attemptKey is a name by which histories and events call an attempt alike:
// only events show the turn 0 of a loop.
func attemptKey(name string) string { return strings.Replace(name, "[0]", "", 1) }

func (v *liveView) show(event *messages.RunEvent) {
	name := attemptName(event.GetStep(), event.GetAttempt())
	if v.shown[attemptKey(name)] {
		return
	}
	switch workflow.EventKind(event.GetKind()) {
	case workflow.StepStarted:
		v.say(name)
	case workflow.StepProgress:
		v.say(name + "  " + event.GetProgressJson())
	case workflow.StepFinished:
		v.line("✓", fmt.Sprintf("%s  %s", name, brief(event.GetElapsed().AsDuration())))
	case workflow.StepAttemptFailed:
		next := "no further attempt"
		if event.GetRetryIn() != nil {
			next = fmt.Sprintf("again in %s", brief(event.GetRetryIn().AsDuration()))
		}
		v.line("✗", fmt.Sprintf("%s  %s; %s", name, excerpt(event.GetError()), next))
	case workflow.StepSnoozed:
		v.line("…", fmt.Sprintf("%s  not yet; again in %s", name, brief(event.GetRetryIn().AsDuration())))
	case workflow.RunEnded:
	}
}

// eraseLine goes to the start of the line and clears it.
const eraseLine = "\r\x1b[K"

// say writes the line that the next one replaces.
func (v *liveView) say(text string) {
	v.write("%s… %s", eraseLine, excerpt(cell(text)))
}

func (v *liveView) line(mark, text string) {
	v.write("%s%s %s\n", eraseLine, mark, cell(text))
}

// clear removes the line that changes.
func (v *liveView) clear() { v.write(eraseLine) }

// write ignores errors: the view is a courtesy.
func (v *liveView) write(format string, args ...any) {
	_, _ = fmt.Fprintf(v.out, format, args...)
}

// brief leaves out the digits of a duration that nobody reads.
func brief(d time.Duration) time.Duration {
	for unit := time.Second; unit > time.Nanosecond; unit /= 1000 {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}
