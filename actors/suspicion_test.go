package actors

import (
	"fmt"
	"testing"
	"time"

	"singularity/persistence"
)

func TestWordOfOthersMakesTheJudgeLookAndDecidesNothing(t *testing.T) {
	t.Parallel()
	const (
		long = longSession
		ms   = time.Millisecond
		left = 3 * time.Second
	)
	gossip, stream := &Suspicion{Boot: "b", By: "gossip"}, &Suspicion{Boot: "b", By: "stream"}
	refused := &Suspicion{Boot: "b", By: "refused", Witness: true}
	tests := []struct {
		name   string
		events []moment
	}{
		{"a free lock and a witness", []moment{
			{word: refused, look: true},
			{at: ms, unbroken: long, suspects: free(7, left), want: crashed("refused", ms)},
		}},
		{"a free lock without a witness", []moment{
			{word: stream, look: true},
			{at: ms, unbroken: long, suspects: free(7, left), again: crashAfter},
			{at: ms + crashAfter, unbroken: long, suspects: free(7, left), want: crashed("stream", ms+crashAfter)},
		}},
		{"a witness that comes later", []moment{
			{word: stream, look: true},
			{at: ms, unbroken: long, suspects: free(7, left), again: crashAfter},
			{at: 5 * ms, word: refused, look: true},
			{at: 6 * ms, unbroken: long, suspects: free(7, left), want: crashed("stream", 6*ms)},
		}},
		{"a lock that the database frees only after a while", []moment{
			{word: refused, look: true},
			{at: 1 * ms, unbroken: long, suspects: held(7, left), again: 2 * ms},
			{at: 3 * ms, unbroken: long, suspects: held(7, left), again: 4 * ms},
			{at: 7 * ms, unbroken: long, suspects: held(7, left), again: 8 * ms},
			{at: 15 * ms, unbroken: long, suspects: free(7, left), want: crashed("refused", 15*ms)},
		}},
		{"a renewal that was under way when the boot died", []moment{
			{word: refused, look: true},
			{at: 1 * ms, unbroken: long, suspects: held(7, left), again: 2 * ms},
			{at: 3 * ms, unbroken: long, suspects: free(8, left), want: crashed("refused", 3*ms)},
		}},
		{"a lock that is held for too long to go on looking", []moment{
			{word: refused, look: true},
			{at: 390 * ms, unbroken: long, suspects: held(7, left), again: 2 * ms},
			{at: 398 * ms, unbroken: long, suspects: held(7, left), again: 2 * ms},
			{at: 400 * ms, unbroken: long, suspects: held(7, left), again: left + overdue},
		}},
		{"a lease that lapses", []moment{
			{word: gossip, look: true},
			{at: 500 * ms, unbroken: long, suspects: held(7, left), again: left + overdue},
			{at: 4 * time.Second, unbroken: long, suspects: held(7, -time.Second), want: lapsed("gossip", 4*time.Second)},
		}},
		{"a witness is not believed for ever", []moment{
			{word: refused, look: true},
			{at: 500 * ms, unbroken: long, suspects: held(7, left), again: left + overdue},
			{at: time.Second, unbroken: long, suspects: free(7, left), again: crashAfter},
		}},
		{"one that renews its lease is cleared", []moment{
			{word: gossip, look: true},
			{at: 1 * ms, unbroken: long, suspects: held(7, left), again: 2 * ms},
			{at: 900 * ms, unbroken: long, suspects: held(8, left), again: left + overdue},
			{at: 3 * time.Second, unbroken: long, suspects: free(8, left), again: crashAfter},
			{at: 3*time.Second + crashAfter, unbroken: long, suspects: free(8, left), want: crashed("renewal", crashAfter)},
		}},
		{"one that has ended, or never was, is forgotten", []moment{
			{word: gossip, look: true},
			{at: 1 * ms, unbroken: long},
			{at: 2 * ms, word: gossip, look: true},
		}},
		{"a session too young to judge", []moment{
			{word: refused, look: true},
			{at: 1 * ms, unbroken: judgeAfter - 1, suspects: free(7, left)},
		}},
		{"the same word again and again", []moment{
			{word: gossip, look: true},
			{at: 1 * ms, word: gossip},
			{at: 2 * ms, word: refused, look: true},
			{at: 3 * ms, word: refused},
			{at: time.Second, word: gossip},
			{at: 1002 * ms, word: gossip, look: true},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			judged(t, test.events)
		})
	}
}

func TestFloodOfSuspicionsIsNoneOfLooks(t *testing.T) {
	t.Parallel()
	var j judge
	start, looks := time.Now(), 0
	next := start.Add(time.Hour)
	for i := range 30_000 { // for three seconds
		now := start.Add(time.Duration(i) * 100 * time.Microsecond)
		boot := persistence.BootID(fmt.Sprint(i))
		if delay, look := j.suspect(now, Suspicion{Boot: boot, By: "noise", Witness: true}); look && now.Add(delay).Before(next) {
			next = now.Add(delay)
		}
		if now.Before(next) {
			continue
		}
		looks++
		next = start.Add(time.Hour)
		charges, again := j.weigh(now, j.ask(now), persistence.Renewal{Unbroken: longSession})
		if len(charges) > 0 || again != 0 {
			t.Fatalf("charged %v, again in %s; want all forgotten, who are not there", charges, again)
		}
	}
	if looks < 3*looksOutOfTurn || looks > 4*looksOutOfTurn {
		t.Errorf("looked %d times in three seconds, want %d at once and %d a second", looks, looksOutOfTurn, looksOutOfTurn)
	}
}

func TestNoMoreThanSomeAreSuspectedAtOnce(t *testing.T) {
	t.Parallel()
	var j judge
	now := time.Now()
	for i := range 2 * suspectedAtOnce {
		j.suspect(now, Suspicion{Boot: persistence.BootID(fmt.Sprint(i)), By: "noise"})
	}
	if asked := j.ask(now); len(asked) != suspectedAtOnce {
		t.Errorf("%d boots are suspected at once, want %d", len(asked), suspectedAtOnce)
	}
}

func TestBootsSuspectedDuringARenewalAreLookedAtAfterIt(t *testing.T) {
	t.Parallel()
	var j judge
	now := time.Now()
	asked := j.ask(now)
	j.suspect(now, Suspicion{Boot: "b", By: "stream"})
	if _, again := j.weigh(now, asked, persistence.Renewal{Unbroken: longSession}); again != atOnce {
		t.Errorf("again in %s, want at once", again)
	}
}
