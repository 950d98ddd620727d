package actors

import (
	"slices"
	"testing"
	"time"

	"singularity/persistence"
)

func TestJudgeChargesOnlyWhomTheEvidenceConvicts(t *testing.T) {
	t.Parallel()
	start := time.Now()
	free := func(renewals int64, left time.Duration) persistence.Suspect {
		return persistence.Suspect{Boot: "b", Renewals: renewals, LockFree: true, Left: left}
	}
	held := func(renewals int64, left time.Duration) persistence.Suspect {
		return persistence.Suspect{Boot: "b", Renewals: renewals, Left: left}
	}
	type look struct {
		at       time.Duration
		unbroken time.Duration
		suspects []persistence.Suspect
		want     persistence.Ground // of the charge; empty for none
		again    time.Duration
	}
	const long = time.Minute
	tests := []struct {
		name  string
		looks []look
	}{
		{"nobody is suspect", []look{{unbroken: long}}},
		{"a lock that stays free", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
			{at: crashAfter, unbroken: long, suspects: []persistence.Suspect{free(7, 2*time.Second)}, want: persistence.Crashed},
		}},
		{"a lock that is looked at too soon", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
			{at: 100 * time.Millisecond, unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: 300 * time.Millisecond},
		}},
		{"a renewal between two looks clears", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
			{at: crashAfter, unbroken: long, suspects: []persistence.Suspect{free(8, 4*time.Second)}, again: crashAfter},
		}},
		{"a lock taken again in between clears", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
			{at: 200 * time.Millisecond, unbroken: long},
			{at: 400 * time.Millisecond, unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
		}},
		{"a lease that is over, the lock held: paused or cut off", []look{
			{unbroken: long, suspects: []persistence.Suspect{held(7, 0)}, want: persistence.Lapsed},
		}},
		{"a lease that is over, the lock free", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, -time.Second)}, want: persistence.Crashed},
		}},
		{"a renewal that is late is looked at when the lease is over", []look{
			{unbroken: long, suspects: []persistence.Suspect{held(7, 2*time.Second)}, again: 2*time.Second + overdue},
		}},
		{"a lease that ends before the lock has been free for long enough", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, 100*time.Millisecond)}, again: 100*time.Millisecond + overdue},
		}},
		{"a session too young to judge", []look{
			{unbroken: judgeAfter - 1, suspects: []persistence.Suspect{free(7, -time.Second)}},
		}},
		{"what was seen before the session broke does not count", []look{
			{unbroken: long, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
			{at: time.Second, unbroken: 0, suspects: []persistence.Suspect{free(7, 3*time.Second)}},
			{at: 11 * time.Second, unbroken: judgeAfter, suspects: []persistence.Suspect{free(7, 3*time.Second)}, again: crashAfter},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var j judge
			for i, look := range test.looks {
				charges, again := j.weigh(start.Add(look.at), persistence.Renewal{Unbroken: look.unbroken, Suspects: look.suspects})
				var want []persistence.Charge
				if look.want != "" {
					want = []persistence.Charge{{Boot: "b", Ground: look.want, Renewals: look.suspects[0].Renewals}}
				}
				if !slices.Equal(charges, want) || again != look.again {
					t.Errorf("look %d: charges %v, again in %s; want %v, %s", i, charges, again, want, look.again)
				}
			}
		})
	}
}
