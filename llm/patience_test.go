package llm

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/centralcloud"
)

func TestCallsAreGivenUpWhenThePolicySaysThatNearlyAllWouldBeDone(t *testing.T) {
	t.Parallel()
	patient := weigh("other/at-3", 0)
	hasty := weigh("fake/at-2", 1)
	hasty.TimeoutMillis = 4000
	for name, test := range map[string]struct {
		age     time.Duration // of the policy
		patient bool          // a model without a timeout is asked
		want    time.Duration
	}{
		"a policy of now":            {0, false, 4 * time.Second},
		"an old one":                 {6 * time.Minute, false, time.Minute},
		"a model that it leaves out": {0, true, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				row := rowFor("coder", hasty, patient)
				row.Fallback = arms("fake/at-2", "other/at-3")
				r := newRoutedTo(t, func(ctx context.Context, _ Request) (Response, error) {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					<-ctx.Done()
					return Response{}, context.Cause(ctx)
				}, row)
				r.policy.Received = time.Now()
				time.Sleep(test.age)
				call := r.selected(t)
				if test.patient {
					call.Choice.Provider, call.Choice.Model = "other", "at-3"
				}
				started := time.Now()
				ctx, attempt := newAttempt(t, 1)
				err := r.Call(ctx, call)
				if waited := time.Since(started); waited != test.want || ClassOf(err) != Timeout {
					t.Errorf("%v after %s, expected a timeout after %s", err, waited, test.want)
				}
				if said := strings.Contains(err.Error(), "not complete within 4s, as nearly all of at-2 for coder are"); said != (test.want < time.Minute) {
					t.Errorf("it says %v", err)
				}
				if record, _ := reported(t, attempt); record.ErrorClass != string(Timeout) || record.Latency != test.want.Microseconds() {
					t.Errorf("recorded %+v", record)
				}
			})
		})
	}
}

func TestCallerThatGivesUpIsNoTimeout(t *testing.T) {
	t.Parallel()
	hasty := weigh("fake/at-2", 1)
	hasty.TimeoutMillis = 4000
	r := newRoutedTo(t, func(ctx context.Context, _ Request) (Response, error) {
		<-ctx.Done()
		return Response{}, ctx.Err()
	}, centralcloud.PolicyRow{TaskType: "coder", Bucket: centralcloud.AnyBucket, Arms: []centralcloud.PolicyArm{hasty}})
	call := r.selected(t)
	ctx, _ := newAttempt(t, 1)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.Call(ctx, call); ClassOf(err) != Cancelled {
		t.Errorf("%v, expected that it was cancelled", err)
	}
}
