package contender_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/benchmarks/contender"
)

func TestStateHasTheSizeThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, size := range []int{150, 1024} {
		document, err := json.Marshal(contender.NewState(size))
		if err != nil || len(document) != size {
			t.Errorf("%d bytes, error %v; want %d", len(document), err, size)
		}
	}
}

func TestResultOfAnotherWorkflowIsRefused(t *testing.T) {
	t.Parallel()
	input := contender.NewState(150)
	if err := input.Finished(input.Next().Next().Next()); err != nil {
		t.Errorf("the right result is refused: %v", err)
	}
	for name, result := range map[string]contender.State{
		"step missing": input.Next().Next(),
		"step twice":   input.Next().Next().Next().Next(),
		"other input":  contender.NewState(151).Next().Next().Next(),
	} {
		if input.Finished(result) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestLoopKeepsSoManyInFlightUntilTheTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		began := time.Now()
		took, err := contender.Loop(t.Context(), 8, 10*time.Second, func(context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-time.After(3 * time.Second)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Four each: those under way after ten seconds are waited for.
		if len(took) != 32 || took[0] != 3*time.Second || most.Load() != 8 || time.Since(began) != 12*time.Second {
			t.Errorf("%d runs of %v, %d at once, in %v", len(took), took[0], most.Load(), time.Since(began))
		}
	})
}

func TestLoopEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var runs atomic.Int64
	_, err := contender.Loop(t.Context(), 4, time.Hour, func(ctx context.Context) error {
		if runs.Add(1) == 10 {
			return broken
		}
		return ctx.Err()
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the run that failed", err)
	}
}

func TestGatherHandsOverTogetherWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		g := contender.NewGather(t.Context(), 3, func(_ context.Context, items []int) error {
			<-time.After(time.Second)
			batches = append(batches, items)
			return nil
		})
		_, err := contender.Loop(t.Context(), 6, 500*time.Millisecond, func(ctx context.Context) error { return g.Do(ctx, 1) })
		g.Close()
		if err != nil {
			t.Fatal(err)
		}
		var items int
		for _, batch := range batches {
			items += len(batch)
			if len(batch) > 3 {
				t.Errorf("a batch has %d items, want at most 3", len(batch))
			}
		}
		if items != 6 || len(batches) > 3 {
			t.Errorf("%d items in %d batches, want 6 in at most 3", items, len(batches))
		}
	})
}

func TestGatherTellsEachCallerOfAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	g := contender.NewGather(t.Context(), 3, func(context.Context, []int) error { return broken })
	defer g.Close()
	for range 3 {
		if err := g.Do(t.Context(), 1); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	}
}

func TestTicketsPassEachOutcomeToWhoWaits(t *testing.T) {
	t.Parallel()
	var tickets contender.Tickets
	input := contender.NewState(150)
	first, firstOutcome := tickets.Open()
	second, secondOutcome := tickets.Open()
	tickets.Settle(second, contender.Outcome{Err: errors.New("broken")})
	tickets.Settle(first, contender.Outcome{Result: input.Next().Next().Next()})
	tickets.Settle(first, contender.Outcome{}) // finished twice
	if err := contender.Await(t.Context(), input, firstOutcome); err != nil {
		t.Errorf("first: %v", err)
	}
	if err := contender.Await(t.Context(), input, secondOutcome); err == nil || err.Error() != "broken" {
		t.Errorf("second: %v", err)
	}
}

func TestTicketsFailWhoWaitsAndWhoComes(t *testing.T) {
	t.Parallel()
	var tickets contender.Tickets
	broken := errors.New("broken")
	_, before := tickets.Open()
	tickets.Fail(broken)
	_, after := tickets.Open()
	for _, outcome := range []<-chan contender.Outcome{before, after} {
		if err := contender.Await(t.Context(), contender.State{}, outcome); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	}
}

func TestArgumentsArriveAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	want := contender.Job{DatabaseURL: "postgres://here", StateBytes: 150, MaxInFlight: 50}
	arguments := contender.Arguments("floor", want, "there")
	name, job, assets, err := contender.ParseArguments(arguments[1:])
	if err != nil || arguments[0] != contender.Command || name != "floor" || job != want || assets != "there" {
		t.Errorf("%s, %+v, %s, %v", name, job, assets, err)
	}
	if _, _, _, err := contender.ParseArguments(nil); err == nil {
		t.Error("nothing was taken for a job")
	}
}

// sleeper takes as long as it says, or fails.
type sleeper struct {
	takes  time.Duration
	err    error
	closed bool
}

func (s *sleeper) Setup(context.Context, contender.Job) (contender.Description, error) {
	return contender.Description{Version: "1"}, nil
}

func (s *sleeper) RunOne(ctx context.Context) error {
	select {
	case <-time.After(s.takes):
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sleeper) Close(context.Context) error {
	s.closed = true
	return nil
}

// serve gives a contender one order.
func serve(t *testing.T, s *sleeper, order contender.Order) contender.Answer {
	t.Helper()
	input, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	if err := contender.Serve(t.Context(), s, contender.Job{}, bytes.NewReader(input), &output); err != nil {
		t.Fatal(err)
	}
	var description contender.Description
	var answer contender.Answer
	decoder := json.NewDecoder(&output)
	if err := errors.Join(decoder.Decode(&description), decoder.Decode(&answer)); err != nil {
		t.Fatal(err)
	}
	if description.Version != "1" || !s.closed {
		t.Errorf("description %+v, closed %t", description, s.closed)
	}
	return answer
}

func TestServeAnswersOrdersAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := serve(t, &sleeper{takes: 2 * time.Second}, contender.Order{InFlight: 2, Duration: 5 * time.Second, Timeout: time.Minute})
		if len(answer.Took) != 6 || answer.Took[0] != 2*time.Second || answer.Elapsed != 6*time.Second || answer.Error != "" {
			t.Errorf("answer %+v", answer)
		}
	})
}

func TestServeReportsWorkflowsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := serve(t, &sleeper{takes: time.Hour}, contender.Order{InFlight: 2, Duration: time.Second, Timeout: time.Minute})
		if !strings.Contains(answer.Error, "did not end in time") || answer.Elapsed != time.Minute {
			t.Errorf("answer %+v", answer)
		}
	})
}

func TestServeReportsAWorkflowThatFails(t *testing.T) {
	t.Parallel()
	answer := serve(t, &sleeper{err: errors.New("broken")}, contender.Order{InFlight: 2, Duration: time.Second, Timeout: time.Minute})
	if answer.Error != "broken" {
		t.Errorf("answer %+v", answer)
	}
}
