package llm

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	const fails, answers, waits = "fails", "answers", "waits"
	for name, test := range map[string]struct {
		events   []string
		ready    bool
		openings int64
	}{
		"nothing happened":                {nil, true, 0},
		"two failures":                    {[]string{fails, fails}, true, 0},
		"three failures":                  {[]string{fails, fails, fails}, false, 1},
		"three failures, not in a row":    {[]string{fails, fails, answers, fails}, true, 0},
		"three, then an answer":           {[]string{fails, fails, fails, answers}, true, 1},
		"the time is over":                {[]string{fails, fails, fails, waits}, true, 1},
		"the probe fails":                 {[]string{fails, fails, fails, waits, fails}, false, 1},
		"the probe fails, and time again": {[]string{fails, fails, fails, waits, fails, waits}, true, 1},
		"the probe is answered":           {[]string{fails, fails, fails, waits, answers}, true, 1},
		"failures after an answer":        {[]string{fails, fails, fails, waits, answers, fails, fails}, true, 1},
		"it opens again":                  {[]string{fails, fails, fails, answers, fails, fails, fails}, false, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &newTarget(Model{}).breaker
			for _, event := range test.events {
				switch event {
				case fails:
					b.failed()
				case answers:
					b.answered()
				case waits:
					time.Sleep(30 * time.Second)
				}
			}
			if _, admitted := b.admit(); b.ready() && !admitted || admitted != test.ready || b.openings.Load() != test.openings {
				t.Errorf("%s: admitted %v after %d openings, expected %v after %d", name, admitted, b.openings.Load(), test.ready, test.openings)
			}
		})
	}
}

func TestBreakerLetsOneProbeThroughAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &newTarget(Model{}).breaker
		for range failuresToOpen {
			b.failed()
		}
		time.Sleep(openFor - 1)
		if _, admitted := b.admit(); admitted || b.ready() {
			t.Error("a call is admitted before the time is over")
		}
		time.Sleep(time.Nanosecond)
		if probe, admitted := b.admit(); !probe || !admitted {
			t.Error("no probe is admitted when the time is over")
		}
		if _, admitted := b.admit(); admitted || b.ready() {
			t.Error("a second call is admitted beside the probe")
		}
		b.release() // it said nothing
		if probe, admitted := b.admit(); !probe || !admitted {
			t.Error("no probe is admitted after one that said nothing")
		}
		if closed := b.answered(); !closed {
			t.Error("an answer does not close the breaker")
		}
		b.release()
		for range 2 {
			if probe, admitted := b.admit(); probe || !admitted {
				t.Error("a call is a probe, or not admitted, while the breaker is closed")
			}
		}
	})
}
