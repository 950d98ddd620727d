package hubtest

import (
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
)

var leadStories = []story{
	{"one leads, and the epoch rises with the next", func(f *fixture) {
		first := f.leadAs("a")
		again := f.leadAs("a")
		if again.Epoch != first.Epoch || again.At.Before(first.At) {
			f.Errorf("prolonged %+v to %+v; want the same epoch, and no earlier time", first, again)
		}
		_, err := f.Lead(f.Context(), "b", term)
		f.expectNotLeading(err)
		f.must(f.Resign(f.Context(), first))
		if next := f.leadAs("b"); next.Epoch <= first.Epoch {
			f.Errorf("the next lead has epoch %d after %d", next.Epoch, first.Epoch)
		}
	}},
	{"it is known who leads, and since when the lead is not prolonged", func(f *fixture) {
		if nobody, err := f.Leader(f.Context()); err != nil || nobody.Epoch != 0 || nobody.Leads() {
			f.Errorf("before all leaders there is %+v, %v", nobody, err)
		}
		f.leadAs("a")
		lead := f.leadAs("a")
		leader, err := f.Leader(f.Context())
		f.must(err)
		if !leader.Leads() || leader.Epoch != lead.Epoch || leader.Holder != "a" || leader.Until.Sub(leader.ProlongedAt).Round(time.Second) != term ||
			leader.ProlongedAt.Sub(lead.At).Abs() > time.Second || leader.Now.Before(leader.ProlongedAt) {
			f.Errorf("the leader is %+v, after the lead %+v", leader, lead)
		}
		f.must(f.Resign(f.Context(), lead))
		if former, err := f.Leader(f.Context()); err != nil || former.Leads() || !former.ProlongedAt.Equal(leader.ProlongedAt) {
			f.Errorf("after it resigned there is %+v, %v", former, err)
		}
	}},
	{"a term that is over is anybody's", func(f *fixture) {
		first, err := f.Lead(f.Context(), "a", -time.Second)
		f.must(err)
		if next := f.leadAs("b"); next.Epoch <= first.Epoch {
			f.Errorf("the next lead has epoch %d after %d", next.Epoch, first.Epoch)
		}
		_, err = f.Lead(f.Context(), "a", term)
		f.expectNotLeading(err)
	}},
	{"of many at once, one leads", func(f *fixture) {
		var wait sync.WaitGroup
		leads := make(chan hub.Lead, 8)
		for i := range cap(leads) {
			wait.Go(func() {
				if lead, err := f.Lead(f.Context(), string(rune('a'+i)), term); err == nil {
					leads <- lead
				}
			})
		}
		wait.Wait()
		if len(leads) != 1 {
			f.Errorf("%d lead, want 1", len(leads))
		}
	}},
	{"a former leader writes nothing", func(f *fixture) {
		former := f.afterAnother()
		message := f.send()
		prices := learner.Prices{}.With(time.Unix(1, 0), learner.Price{Arm: centralcloud.Arm{Provider: "p", Model: "m"}, In: 1, Out: 2})
		for name, write := range map[string]func() error{
			"count": func() error {
				_, err := f.Count(f.Context(), former, message, report("a", row("a", 30, 1, calls(1))))
				return err
			},
			"compact": func() error { _, err := f.Compact(f.Context(), former, time.Now()); return err },
			"forget":  func() error { return f.Forget(f.Context(), former, time.Now(), time.Now()) },
			"drop": func() error {
				return f.DropInstance(f.Context(), former, hub.Instance{ID: "a", Queue: centralcloud.UpQueue})
			},
			"prices":  func() error { return f.SetPrices(f.Context(), former, prices) },
			"publish": func() error { return publish(f, former, 1) },
			"teach": func() error {
				return f.Teach(f.Context(), former, []centralcloud.Lesson{pattern("a", 1, `{}`)}, nil, nil)
			},
			"resign": func() error { return f.Resign(f.Context(), former) },
		} {
			f.Run(name, func(t *testing.T) { (&fixture{t, f.Store}).expectNotLeading(write()) })
		}
		if rows := f.rows(); len(rows) != 0 {
			f.Errorf("there are rows: %v", rows)
		}
		left, err := f.Read(f.Context(), centralcloud.UpQueue, time.Minute, 10)
		f.must(err)
		if len(left) != 1 {
			f.Errorf("there are %d messages, want the one that was not counted", len(left))
		}
	}},
}
