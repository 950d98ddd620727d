package hubtest

import (
	"errors"
	"reflect"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
)

// policy is one that can be told from those of other versions.
func policy(version int64) *centralcloud.Policy {
	return &centralcloud.Policy{
		Version: version, MadeAt: time.Unix(1_700_000_000+version, 0).UTC(), Mode: centralcloud.Reference,
		Rows: []centralcloud.PolicyRow{{TaskType: "*", Bucket: -1, Arms: []centralcloud.PolicyArm{{
			Arm: centralcloud.Arm{Provider: "p", Model: "m"}, Weight: 1, Why: "it is the <only> one",
		}}}},
	}
}

func publish(f *fixture, lead hub.Lead, version int64, queues ...string) error {
	learnings, err := centralcloud.TeachPolicy(policy(version), nil)
	if err != nil {
		return err
	}
	messages, err := centralcloud.EncodeLearnings(learnings...)
	if err != nil {
		return err
	}
	return f.Publish(f.Context(), lead, hub.Publication{Policy: policy(version), Repeats: version == 2, Messages: messages, Queues: queues})
}

var keepStories = []story{
	{"each version of the policy is kept", func(f *fixture) {
		if _, err := f.Policy(f.Context(), 0); !errors.Is(err, hub.ErrNoPolicy) {
			f.Errorf("the newest of no policies: %v, want %v", err, hub.ErrNoPolicy)
		}
		lead := f.leadAs("a")
		for version := range int64(3) {
			f.must(publish(f, lead, version+1))
		}
		if err := publish(f, lead, 3); err == nil {
			f.Error("a version was published twice")
		}
		for asked, want := range map[int64]int64{0: 3, 1: 1, 2: 2, 3: 3} {
			got, err := f.Policy(f.Context(), asked)
			f.must(err)
			if !reflect.DeepEqual(got, policy(want)) {
				f.Errorf("policy %d is %+v, want %+v", asked, got, policy(want))
			}
		}
		if _, err := f.Policy(f.Context(), 9); !errors.Is(err, hub.ErrNoPolicy) {
			f.Errorf("policy 9: %v, want %v", err, hub.ErrNoPolicy)
		}
		f.must(f.Forget(f.Context(), lead, policy(1).MadeAt, policy(9).MadeAt))
		if got, err := f.Policy(f.Context(), 2); err != nil || got.Version != 1 {
			f.Errorf("in place of one that repeated version 1 there is %+v, %v", got, err)
		}
		f.must(f.Forget(f.Context(), lead, policy(9).MadeAt, policy(9).MadeAt))
		if got, err := f.Policy(f.Context(), 0); err != nil || got.Version != 3 {
			f.Errorf("after all is forgotten, the newest is %+v, %v; want version 3", got, err)
		}
		if _, err := f.Policy(f.Context(), 1); !errors.Is(err, hub.ErrNoPolicy) {
			f.Errorf("a policy that is forgotten: %v, want %v", err, hub.ErrNoPolicy)
		}
	}},
	{"a policy goes into all queues that are there, with the policy or not at all", func(f *fixture) {
		lead := f.leadAs("a")
		there := []string{"instance_learning_a", "instance_learning_b"}
		for _, queue := range there {
			f.must(f.CreateQueue(f.Context(), queue))
		}
		f.must(publish(f, lead, 1, append(there, "instance_learning_gone")...))
		if err := publish(f, lead, 1, there...); err == nil {
			f.Error("a version was published twice")
		}
		f.wantTaught(there, centralcloud.TypeModelRouting, "")
	}},
	{"it is noted when an instance was taught", func(f *fixture) {
		lead := f.leadAs("a")
		f.count(lead, report("there"))
		f.count(lead, report("other"))
		f.must(f.CreateQueue(f.Context(), centralcloud.DownQueue("there")))
		f.must(publish(f, lead, 1, centralcloud.DownQueue("there")))
		instances, err := f.Instances(f.Context())
		f.must(err)
		if len(instances) != 2 || !instances[0].TaughtAt.IsZero() || instances[1].TaughtAt.Sub(lead.At).Abs() > time.Minute {
			f.Errorf("instances %+v; want the second one taught just now", instances)
		}
	}},
	{"dead letters are forgotten", func(f *fixture) {
		lead := f.leadAs("a")
		for _, queue := range []string{centralcloud.DeadUp, centralcloud.DeadDown} {
			_, err := f.Send(f.Context(), queue, centralcloud.Draft{Body: []byte(`1`)})
			f.must(err)
		}
		length := func() int64 {
			up, err := f.QueueMetrics(f.Context(), centralcloud.DeadUp)
			f.must(err)
			down, err := f.QueueMetrics(f.Context(), centralcloud.DeadDown)
			f.must(err)
			return up.Length + down.Length
		}
		f.must(f.Forget(f.Context(), lead, lead.At.Add(-time.Hour), lead.At))
		if n := length(); n != 2 {
			f.Errorf("%d letters are left of those that came later, want 2", n)
		}
		f.must(f.Forget(f.Context(), lead, lead.At.Add(time.Hour), lead.At))
		if n := length(); n != 0 {
			f.Errorf("%d letters are left, want none", n)
		}
	}},
	{"prices keep their history", func(f *fixture) {
		lead := f.leadAs("a")
		arm := centralcloud.Arm{Provider: "p", Model: "m"}
		prices := learner.Prices{}.
			With(time.Unix(100, 0), learner.Price{Arm: arm, In: 1, Out: 2}).
			With(time.Unix(200, 0), learner.Price{Arm: arm, In: 3, Out: 4}, learner.Price{Arm: centralcloud.Arm{Provider: "p", Model: "n"}, In: 5, Out: 6})
		for range 2 {
			f.must(f.SetPrices(f.Context(), lead, prices))
			stored, err := f.Prices(f.Context())
			f.must(err)
			if !stored.Equal(prices) {
				f.Errorf("prices are %+v, want %+v", stored.History(), prices.History())
			}
		}
	}},
}
