package actors

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var update = flag.Bool("update", false, "rewrite the effects in testdata/*.trace; read the difference")

// TestTraces plays the scenarios in testdata. A trace says in its first lines
// which run it is about; each line with > is an event, and below it stand the
// effects that it has.
func TestTraces(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".trace"), func(t *testing.T) {
			t.Parallel()
			document, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(document))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(document); got != want {
				t.Errorf("the trace has become\n%s", got)
			}
		})
	}
}

// play applies the events of a trace and returns it with the effects they have.
func play(trace string) (string, error) {
	var out strings.Builder
	state := runState{phase: idle}
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		text, isEvent := strings.CutPrefix(line, "> ")
		switch {
		case isEvent:
			e, err := parseEvent(text)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&out, "\n> %s\n", text)
			for _, effect := range state.apply(e) {
				fmt.Fprintf(&out, "  %s\n", state.describe(effect))
			}
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		case strings.HasPrefix(line, "run: "):
			if err := setUp(&state, strings.TrimPrefix(line, "run: ")); err != nil {
				return "", err
			}
			fmt.Fprintln(&out, line)
		}
	}
	return out.String(), nil
}

// setUp reads the line that says which run a trace is about, such as
//
//	checkpointed, steps one two* three, delays 1s 10s, attempts 3, at two, seq 7
//
// where * marks a loop.
func setUp(s *runState, line string) error {
	retry := workflow.Retry{Attempts: 3, Delays: []time.Duration{time.Second, 10 * time.Second}, Jitter: [2]float64{-1, -1}}
	for field := range strings.SplitSeq(line, ", ") {
		words := strings.Fields(field)
		switch words[0] {
		case "checkpointed", "restartable", "ephemeral":
			s.durability = workflow.Durability(words[0])
		case "steps":
			for _, name := range words[1:] {
				info := workflow.StepInfo{Name: strings.TrimSuffix(name, "*"), Kind: workflow.KindDo, Timeout: 30 * time.Second, Retry: retry}
				if strings.HasSuffix(name, "*") {
					info.Kind = workflow.KindLoop
				}
				s.steps = append(s.steps, info)
			}
		case "seq":
			seq, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				return err
			}
			s.seq = seq
		case "at":
			s.position = position{step: -1}
			for i, step := range s.steps {
				if step.Name == words[1] {
					s.position = position{step: i}
				}
			}
			s.stored = s.position
		default:
			return fmt.Errorf("trace: what is %q?", field)
		}
	}
	return nil
}

// parseEvent reads an event as a trace writes it.
func parseEvent(text string) (event, error) {
	head, said, _ := strings.Cut(text, ": ")
	words := strings.Fields(head)
	token := func() int64 {
		n, _ := strconv.ParseInt(words[len(words)-1], 10, 64)
		return n
	}
	failure := errors.New(said)
	switch {
	case head == "began":
		return began{}, nil
	case head == "began badly":
		return began{failure}, nil
	case strings.HasPrefix(head, "step done, "):
		return stepReturned{token: token(), done: true}, nil
	case strings.HasPrefix(head, "turn done, "):
		return stepReturned{token: token()}, nil
	case strings.HasPrefix(head, "step failed, "):
		return stepReturned{token: token(), err: failure}, nil
	case strings.HasPrefix(head, "step failed for good, "):
		return stepReturned{token: token(), err: workflow.Permanent(failure)}, nil
	case strings.HasPrefix(head, "step snoozed, "):
		delay, err := time.ParseDuration(said)
		return stepReturned{token: token(), err: workflow.Snooze(delay)}, err
	case strings.HasPrefix(head, "step cancelled, "):
		return stepReturned{token: token(), err: workflow.Cancel(failure)}, nil
	case strings.HasPrefix(head, "step gave up, "):
		return stepReturned{token: token(), err: context.Canceled}, nil
	case strings.HasPrefix(head, "step expired, "):
		return stepExpired{token()}, nil
	case strings.HasPrefix(head, "grace over, "):
		return graceOver{token: token()}, nil
	case strings.HasPrefix(head, "backoff over, "):
		return backoffOver{token()}, nil
	case head == "committed":
		return committed{}, nil
	case head == "refused, fenced":
		return refused{persistence.ErrFenced}, nil
	case head == "refused, unknown":
		return refused{workflow.ErrOutcomeUnknown}, nil
	case head == "refused, unavailable":
		return refused{workflow.ErrUnavailable}, nil
	case head == "refused, cannot be stored":
		return refused{persistence.ErrBadWrite}, nil
	case strings.HasPrefix(head, "lease late, "):
		return leaseLate{token()}, nil
	case head == "lease renewed":
		return leaseRenewed{}, nil
	case head == "deadline over":
		return deadlineOver{}, nil
	case head == "cancelled":
		return cancelled{}, nil
	case head == "disowned":
		return disowned{}, nil
	case head == "drained":
		return drained{}, nil
	case head == "evicted":
		return evicted{}, nil
	default:
		return nil, fmt.Errorf("trace: what is %q?", text)
	}
}

// at names a position.
func (s *runState) at(p position) string {
	switch {
	case p.step < 0:
		return "an unknown step"
	case p.step >= len(s.steps):
		return "the end"
	}
	name := s.turnName(p)
	if p.attempt > 0 {
		name += fmt.Sprintf(" (attempt %d)", p.attempt+1)
	}
	return name
}

// describe writes an effect in words.
func (s *runState) describe(e effect) string {
	switch e := e.(type) {
	case runStep:
		return fmt.Sprintf("run %s, token %d", s.at(e.position), e.token)
	case interrupt:
		return fmt.Sprintf("interrupt: %v", e.cause)
	case armGrace:
		return fmt.Sprintf("arm grace, token %d", e.token)
	case armBackoff:
		return fmt.Sprintf("arm backoff %s, token %d", e.delay, e.token)
	case commit:
		text := fmt.Sprintf("commit %s at %s", e.state, s.at(e.next))
		if e.entry != noEntry {
			text += fmt.Sprintf(", %s of %s", e.entry, s.at(e.ran))
		}
		if e.delay != 0 {
			text += fmt.Sprintf(", due in %s", e.delay)
		}
		if e.reason != "" {
			text += ", for: " + e.reason
		}
		if e.failure != nil {
			text += ", error: " + e.failure.Error()
		}
		if e.bare {
			text += ", without the summary"
		}
		return text
	case keep:
		return "keep the state"
	case attemptFailed:
		if e.retry < 0 {
			return fmt.Sprintf("tell that %s failed for good: %v", s.at(e.ran), e.err)
		}
		return fmt.Sprintf("tell that %s failed, again in %s: %v", s.at(e.ran), e.retry, e.err)
	case attemptSnoozed:
		return fmt.Sprintf("tell that %s snoozed, again in %s", s.at(e.ran), e.delay)
	case attemptFinished:
		return fmt.Sprintf("tell that %s finished", s.at(e.ran))
	case abandon:
		return "abandon the attempt"
	case leave:
		if e.err != nil {
			return fmt.Sprintf("leave %s: %v", e.state, e.err)
		}
		return fmt.Sprintf("leave %s", e.state)
	default:
		return fmt.Sprintf("%T", e)
	}
}
