package hubtest

import (
	"fmt"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/patterns"
)

// BenchmarkLook measures what a leader does to look for patterns in what a hundred
// instances reported of five kinds of calls in six hours, 360,000 rows: the first
// look, and one after five more minutes, which reads two spans.
func BenchmarkLook(b *testing.B, store hub.Store) {
	now := time.Unix(patterns.SpanOf(time.Now().Unix()), 0)
	first := now.Add(-patterns.Window)
	if err := fillWindow(b, store, first, now); err != nil {
		b.Fatal(err)
	}
	var evidence patterns.Evidence
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			evidence = patterns.Evidence{}
			for at := first; at.Before(now); at = at.Add(patterns.SpanLength) {
				readSpan(b, store, &evidence, at)
			}
			patterns.Find(&evidence, now)
			patterns.Compare(&evidence, now)
		}
	})
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range 2 {
				readSpan(b, store, &evidence, now.Add(-time.Duration(i+1)*patterns.SpanLength))
			}
			patterns.Find(&evidence, now)
			patterns.Compare(&evidence, now)
		}
	})
	b.Run("next, without reading", func(b *testing.B) {
		for b.Loop() {
			patterns.Find(&evidence, now)
			patterns.Compare(&evidence, now)
		}
	})
}

func readSpan(b *testing.B, store hub.Store, evidence *patterns.Evidence, at time.Time) {
	b.Helper()
	const most = 2_000
	span, until := patterns.NewSpan(at.Unix()), at.Add(patterns.SpanLength)
	for _, read := range []func() error{
		func() error {
			return store.RowsBetween(b.Context(), at, until, func(row centralcloud.Row) error { span.AddRow(row); return nil })
		},
		func() error {
			return store.SamplesBetween(b.Context(), at, until, most, func(s centralcloud.Sample) error { span.AddSample(s); return nil })
		},
		func() error {
			return store.RepeatsBetween(b.Context(), at, until, func(r centralcloud.Repeats) error { span.AddRepeats(r); return nil })
		},
	} {
		if err := read(); err != nil {
			b.Fatal(err)
		}
	}
	evidence.Put(span)
}

// fillWindow has the instances report ten calls of each kind in each epoch.
func fillWindow(b *testing.B, store hub.Store, from, until time.Time) error {
	b.Helper()
	lead, err := store.Lead(b.Context(), "a", term)
	if err == nil {
		err = store.CreateQueue(b.Context(), centralcloud.UpQueue)
	}
	for i := 0; i < 100 && err == nil; i++ {
		for at := from; at.Before(until) && err == nil; at = at.Add(time.Hour) {
			var message int64
			message, err = store.Send(b.Context(), centralcloud.UpQueue, centralcloud.Draft{Body: []byte(`{}`)})
			if err == nil {
				_, err = store.Count(b.Context(), lead, message, anHour(i, at, at.Add(time.Hour)))
			}
		}
	}
	return err
}

func anHour(instance int, from, until time.Time) hub.Report {
	name := fmt.Sprint("instance-", instance)
	tally := centralcloud.NewTally(name, name+"-boot")
	tally.Seal(centralcloud.Seal("seal"))
	for at := from; at.Before(until); at = at.Add(centralcloud.EpochSeconds * time.Second) {
		for kind := range 5 {
			for call := range 10 {
				number := int(at.Unix())*50 + kind*10 + call
				class := ""
				if number%7 == 0 {
					class = "overload"
				}
				document := fmt.Appendf(nil, `{"workflow":"w","step":"s%d","attempt":1,"provider":"p","model":"m%d","task_type":"t%d","tokens_in":100,"tokens_out":200,
					"cost_nanodollars":1000,"latency_us":%d,"error_class":%q,"input_digest":"%d","answer_digest":"%d","policy_version":"1","propensity":1}`,
					kind, kind%3, kind, 300_000+number%700*1000, class, number%5000, number%5000)
				id := fmt.Sprintf("01900000-0000-7000-8000-%012d/1/0", (number*7919+instance*104_729)%1_000_000_000_000)
				tally.Add(centralcloud.Record{ID: id, At: at, Doc: document})
			}
		}
	}
	r := report(name)
	r.Rows, r.Samples = tally.Changed(nil)
	r.Repeats = tally.Repeats(r.Rows)
	for i := range len(r.Samples) / 40 {
		r.Samples[i] = r.Samples[40*i]
	}
	r.Samples = r.Samples[:len(r.Samples)/40]
	return r
}
