package simulated

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/llm"
)

func setup(t *testing.T, config Config) *Provider {
	t.Helper()
	provider, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func ask(taskType, text string) llm.Request {
	return llm.Request{
		Model: "simulated-small", TaskType: taskType, Attempt: 1,
		Messages: []llm.Message{{Role: llm.User, Content: text}},
	}
}

func TestSameRequestHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	provider := setup(t, Config{})
	first, err := provider.Complete(t.Context(), ask("coder", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	repeated := ask("coder", "hello")
	repeated.Attempt, repeated.Key = 4, "another run"
	second, err := setup(t, Config{}).Complete(t.Context(), repeated)
	if err != nil || second != first {
		t.Errorf("%+v, %v; expected %+v", second, err, first)
	}
	for name, other := range map[string]llm.Request{
		"another text": ask("coder", "hello!"),
		"another task": ask("chat", "hello"),
		"another role": {Model: "simulated-small", TaskType: "coder", Messages: []llm.Message{{Role: llm.System, Content: "hello"}}},
	} {
		if response, err := provider.Complete(t.Context(), other); err != nil || response.Text == first.Text {
			t.Errorf("%s: %+v, %v; expected another answer", name, response, err)
		}
	}
}

func TestAnswersSayThatTheyAreSimulated(t *testing.T) {
	t.Parallel()
	provider := setup(t, Config{})
	for _, taskType := range []string{"coder", "classifier", "sentiment", ""} {
		var heard strings.Builder
		req := ask(taskType, "hello")
		req.OnText = func(delta string) { heard.WriteString(delta) }
		response, err := provider.Complete(t.Context(), req)
		if err != nil || !strings.HasPrefix(response.Text, "[simulated] ") {
			t.Errorf("%s: %+v, %v", taskType, response, err)
		}
		if heard.String() != response.Text {
			t.Errorf("%s: %q was streamed, expected %q", taskType, &heard, response.Text)
		}
		if !response.Usage.Known() || response.Finish != llm.Stopped || response.Model != req.Model {
			t.Errorf("%s: %+v", taskType, response)
		}
	}
}

func TestClassifiersAnswerWithALabel(t *testing.T) {
	t.Parallel()
	provider := setup(t, Config{})
	seen := map[string]bool{}
	for i := range 50 {
		response, err := provider.Complete(t.Context(), ask("classifier", fmt.Sprintf("text %d", i)))
		if err != nil || len(strings.Fields(response.Text)) != 2 {
			t.Fatalf("%+v, %v; expected one word after the mark", response, err)
		}
		seen[response.Text] = true
	}
	if len(seen) < 2 {
		t.Errorf("every text is a %v", seen)
	}
}

func TestFailuresFollowFromRequestAndAttempt(t *testing.T) {
	t.Parallel()
	provider, again := setup(t, Config{FailureRate: 0.3}), setup(t, Config{FailureRate: 0.3})
	const attempts = 1000
	classes := map[llm.Class]int{}
	for attempt := range attempts {
		req := ask("coder", "hello")
		req.Attempt = attempt + 1
		_, err := provider.Complete(t.Context(), req)
		if _, other := again.Complete(t.Context(), req); llm.ClassOf(err) != llm.ClassOf(other) {
			t.Errorf("attempt %d: %v, then %v", req.Attempt, err, other)
		}
		classes[llm.ClassOf(err)]++
		var failure *llm.Error
		if errors.As(err, &failure) && (failure.Class == llm.RateLimit) != (failure.RetryAfter > 0) {
			t.Errorf("attempt %d: %+v; expected a wait for rate limits only", req.Attempt, failure)
		}
	}
	if failed := attempts - classes[""]; failed < 250 || failed > 350 {
		t.Errorf("%d of %d attempts failed, expected about 300", failed, attempts)
	}
	for _, class := range []llm.Class{llm.RateLimit, llm.Overload, llm.Timeout} {
		if classes[class] == 0 {
			t.Errorf("no failure was of class %s: %v", class, classes)
		}
	}
}

func TestFailureRateOneFailsAlwaysInTheGivenClass(t *testing.T) {
	t.Parallel()
	provider := setup(t, Config{FailureRate: 1, Failures: []llm.Class{llm.Auth}})
	for attempt := range 20 {
		req := ask("coder", "hello")
		req.Attempt = attempt
		if _, err := provider.Complete(t.Context(), req); llm.ClassOf(err) != llm.Auth {
			t.Errorf("attempt %d: %v", attempt, err)
		}
	}
}

func TestLatencyIsWaitedForOrCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		provider := setup(t, Config{Latency: 2 * time.Second})
		started := time.Now()
		if _, err := provider.Complete(t.Context(), ask("coder", "hello")); err != nil || time.Since(started) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started = time.Now()
		if _, err := provider.Complete(ctx, ask("coder", "hello")); llm.ClassOf(err) != llm.Timeout || time.Since(started) != time.Second {
			t.Errorf("%v after %s, expected a timeout after 1s", err, time.Since(started))
		}
	})
}

func TestBadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		"latency -1s is negative": {Latency: -time.Second},
		"failure rate 1.5":        {FailureRate: 1.5},
		"failure rate -0.1":       {FailureRate: -0.1},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}
