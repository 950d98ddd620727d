package actors

import (
	"slices"
	"testing"
	"time"

	"singularity/persistence"
)

const longSession = time.Minute

// free and held are what a renewal finds of a boot.
func free(renewals int64, left time.Duration) []persistence.Suspect {
	return []persistence.Suspect{{Boot: "b", Renewals: renewals, LockFree: true, Left: left}}
}

func held(renewals int64, left time.Duration) []persistence.Suspect {
	return []persistence.Suspect{{Boot: "b", Renewals: renewals, Left: left}}
}

// moment is a renewal, or the word of others before it.
type moment struct {
	at       time.Duration
	word     *Suspicion
	look     bool // that word makes the judge
	unbroken time.Duration
	suspects []persistence.Suspect
	want     persistence.Charge // without the boot and its renewals; zero for none
	again    time.Duration
}

// judged plays a story to a judge.
func judged(t *testing.T, events []moment) {
	t.Helper()
	start := time.Now()
	var j judge
	for i, e := range events {
		now := start.Add(e.at)
		if e.word != nil {
			if delay, look := j.suspect(now, *e.word); look != e.look || delay != 0 {
				t.Errorf("event %d: look %v in %s, want %v, at once", i, look, delay, e.look)
			}
			continue
		}
		charges, again := j.weigh(now, j.ask(now), persistence.Renewal{Unbroken: e.unbroken, Suspects: e.suspects})
		var want []persistence.Charge
		if e.want != (persistence.Charge{}) {
			e.want.Boot, e.want.Renewals = "b", e.suspects[0].Renewals
			want = []persistence.Charge{e.want}
		}
		if !slices.Equal(charges, want) || again != e.again {
			t.Errorf("event %d: charges %+v, again in %s; want %+v, %s", i, charges, again, want, e.again)
		}
	}
}

func crashed(by string, after time.Duration) persistence.Charge {
	return persistence.Charge{Ground: persistence.Crashed, DetectedBy: by, SuspectedFor: after}
}

func lapsed(by string, after time.Duration) persistence.Charge {
	return persistence.Charge{Ground: persistence.Lapsed, DetectedBy: by, SuspectedFor: after}
}

func TestJudgeChargesOnlyWhomTheEvidenceConvicts(t *testing.T) {
	t.Parallel()
	const long = longSession
	tests := []struct {
		name   string
		events []moment
	}{
		{"nobody is suspect", []moment{{unbroken: long}}},
		{"a lock that stays free", []moment{
			{unbroken: long, suspects: free(7, 3*time.Second), again: crashAfter},
			{at: crashAfter, unbroken: long, suspects: free(7, 2*time.Second), want: crashed("renewal", crashAfter)},
		}},
		{"a lock that is looked at too soon", []moment{
			{unbroken: long, suspects: free(7, 3*time.Second), again: crashAfter},
			{at: 100 * time.Millisecond, unbroken: long, suspects: free(7, 3*time.Second), again: 300 * time.Millisecond},
		}},
		{"a renewal between two looks clears", []moment{
			{unbroken: long, suspects: free(7, 3*time.Second), again: crashAfter},
			{at: crashAfter, unbroken: long, suspects: free(8, 4*time.Second), again: crashAfter},
		}},
		{"a lock taken again in between clears", []moment{
			{unbroken: long, suspects: free(7, 3*time.Second), again: crashAfter},
			{at: 200 * time.Millisecond, unbroken: long},
			{at: 400 * time.Millisecond, unbroken: long, suspects: free(7, 3*time.Second), again: crashAfter},
		}},
		{"a lock taken again by a boot that is late clears", []moment{
			{unbroken: long, suspects: free(7, 2*time.Second), again: crashAfter},
			{at: 200 * time.Millisecond, unbroken: long, suspects: held(7, 2*time.Second), again: 2*time.Second + overdue},
			{at: 400 * time.Millisecond, unbroken: long, suspects: free(7, time.Second), again: crashAfter},
		}},
		{"a lease that is over, the lock held: paused or cut off", []moment{
			{unbroken: long, suspects: held(7, time.Second), again: time.Second + overdue},
			{at: time.Second + overdue, unbroken: long, suspects: held(7, -overdue), want: lapsed("lease", time.Second+overdue)},
		}},
		{"a lease that is over, the lock free", []moment{
			{unbroken: long, suspects: free(7, -time.Second), want: crashed("renewal", 0)},
		}},
		{"a renewal that is late is looked at when the lease is over", []moment{
			{unbroken: long, suspects: held(7, 2*time.Second), again: 2*time.Second + overdue},
		}},
		{"a lease that ends before the lock has been free for long enough", []moment{
			{unbroken: long, suspects: free(7, 100*time.Millisecond), again: 100*time.Millisecond + overdue},
		}},
		{"a session too young to judge", []moment{
			{unbroken: judgeAfter - 1, suspects: free(7, -time.Second)},
		}},
		{"what was seen before the session broke does not count", []moment{
			{unbroken: long, suspects: free(7, 3*time.Second), again: crashAfter},
			{at: time.Second, unbroken: 0, suspects: free(7, 3*time.Second)},
			{at: 11 * time.Second, unbroken: judgeAfter, suspects: free(7, 3*time.Second), again: crashAfter},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			judged(t, test.events)
		})
	}
}
