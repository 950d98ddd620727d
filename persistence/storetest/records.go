package storetest

import (
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var recordStories = []story{
	{name: "records/those of a boot are counted, of whatever run", tell: recordsOfBoot},
	{name: "records/an epoch is read as a whole, as often as it is asked for", tell: recordsWhole},
	{name: "records/a write that lands again is no second record", tell: recordsOnce},
	{name: "records/who counted nothing yet begins with the first", tell: recordsProgress},
	{name: "records/what was counted stays so", tell: recordsNoted},
	{name: "records/a boot is counted to the last once it has ended and runs nothing", tell: recordsOfEnded},
	{name: "records/a boot that is declared dead is counted once its runs are released", judged: true, tell: recordsOfDead},
	{name: "records/a process that died is counted by the next", restarts: true, tell: recordsAfterRestart},
	{name: "records/they go with their run", tell: recordsPruned},
}

// calls is a checkpoint with so many counted records, and one of another kind.
func calls(fence persistence.Fence, n int) persistence.Advance {
	w := checkpoint(fence, "pay")
	w.Entry.Facts = []workflow.Fact{{Kind: "other", Doc: []byte(`{}`), At: time.Now()}}
	for i := range n {
		w.Entry.Facts = append(w.Entry.Facts, workflow.Fact{
			Kind: persistence.CountedKind, Doc: fmt.Appendf(nil, `{"n":%d}`, i), At: time.Now().Add(-time.Hour),
		})
	}
	return w
}

// recorded reads the records of a boot from a time on; zero for where it was
// counted to.
func (f *fixture) recorded(boot persistence.BootID, from time.Time) ([]persistence.Record, persistence.Stretch) {
	f.Helper()
	var records []persistence.Record
	stretch, err := f.store.ReadRecords(f.Context(), boot, from, func(record persistence.Record) error {
		records = append(records, record)
		return nil
	})
	if err != nil {
		f.Fatalf("read records: %v", err)
	}
	return records, stretch
}

func (f *fixture) noteCounted(boot persistence.BootID, until time.Time, last bool) {
	f.Helper()
	if err := f.store.NoteCounted(f.Context(), boot, until, last); err != nil {
		f.Fatalf("note counted: %v", err)
	}
}

// wantUncounted checks which boots have ended and are not counted.
func (f *fixture) wantUncounted(want ...persistence.BootID) {
	f.Helper()
	boots, err := f.store.Uncounted(f.Context())
	if err != nil {
		f.Fatalf("uncounted: %v", err)
	}
	var got []persistence.BootID
	for _, boot := range boots {
		got = append(got, boot.Boot)
	}
	if !slices.Equal(got, want) {
		f.Fatalf("boots %v are not counted, want %v", got, want)
	}
}

func recordsOfBoot(f *fixture) {
	a, b := f.join("a"), f.join("b")
	first, second, others := f.started(a), f.started(a), f.started(b)
	began := f.now()
	f.land(calls(first, 2))
	f.land(calls(second, 1))
	f.land(calls(others, 3))
	w := failure(after(first))
	w.Entry.Facts = []workflow.Fact{{Kind: persistence.CountedKind, Doc: []byte(`{"failed":true}`), At: time.Now()}}
	f.land(w)

	records, stretch := f.recorded(a, time.Time{})
	var got []string
	for _, record := range records {
		if record.StoredAt.Before(began.Add(-time.Second)) || record.StoredAt.After(f.now().Add(time.Second)) {
			f.Errorf("a record is of %s, want when it was stored, after %s", record.StoredAt, began)
		}
		got = append(got, fmt.Sprintf("%d/%d/%d %s", record.Run[15], record.Seq, record.Number, record.Doc))
	}
	slices.Sort(got)
	want := []string{`1/1/1 {"n":0}`, `1/1/2 {"n":1}`, `1/2/0 {"failed":true}`, `2/1/1 {"n":0}`}
	if !slices.Equal(got, want) {
		f.Errorf("records %v, want %v", got, want)
	}
	if stretch.More || stretch.Until.Before(records[3].StoredAt) || stretch.Until.Sub(stretch.Settled) != persistence.RecordsSettle {
		f.Errorf("stretch %+v, want one up to now, settled a minute ago", stretch)
	}
	if records, stretch := f.recorded(f.join("c"), time.Time{}); len(records) != 0 || stretch.More || stretch.Until.IsZero() {
		f.Errorf("records %+v of a boot that has none, stretch %+v", records, stretch)
	}
}

func recordsWhole(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.land(calls(fence, 1))
	f.land(calls(after(fence), 1))
	all, _ := f.recorded(boot, time.Time{})
	if len(all) != 2 {
		f.Fatalf("records %+v, want two", all)
	}
	// From the second one on: the first is of the same epoch, unless one ended
	// between them.
	again, _ := f.recorded(boot, all[1].StoredAt)
	want := 2
	if !all[0].StoredAt.Truncate(persistence.RecordEpoch).Equal(all[1].StoredAt.Truncate(persistence.RecordEpoch)) {
		want = 1
	}
	if len(again) != want {
		f.Errorf("records %+v of the epoch of the second, want %d", again, want)
	}
}

func recordsOnce(f *fixture) {
	boot := f.join("a")
	w := calls(f.started(boot), 2)
	f.land(w)
	before, _ := f.recorded(boot, time.Time{})
	f.land(w)
	if again, _ := f.recorded(boot, time.Time{}); len(again) != 2 || !again[0].StoredAt.Equal(before[0].StoredAt) {
		f.Errorf("records %+v, want them as before: %+v", again, before)
	}
}

func recordsProgress(f *fixture) {
	boot := f.join("a")
	f.land(calls(f.started(boot), 1))
	records, _ := f.recorded(boot, time.Time{})
	next := records[0].StoredAt.Truncate(persistence.RecordEpoch).Add(persistence.RecordEpoch)
	f.noteCounted(boot, next, false)
	if records, _ := f.recorded(boot, time.Time{}); len(records) != 0 {
		f.Errorf("records %+v from before the time up to which they are counted", records)
	}
	if records, _ := f.recorded(boot, next.Add(-time.Microsecond)); len(records) > 1 {
		f.Errorf("records %+v, want the one at most", records)
	}
	if records, _ := f.recorded(boot, next.Add(-persistence.RecordEpoch)); len(records) != 1 {
		f.Errorf("records %+v of the epoch that was asked for, want the one", records)
	}
}

func recordsNoted(f *fixture) {
	boot := f.join("a")
	f.land(calls(f.started(boot), 1))
	records, _ := f.recorded(boot, time.Time{})
	next := records[0].StoredAt.Truncate(persistence.RecordEpoch).Add(persistence.RecordEpoch)
	f.noteCounted(boot, next, false)
	f.noteCounted(boot, next.Add(-time.Hour), false)
	if records, _ := f.recorded(boot, time.Time{}); len(records) != 0 {
		f.Errorf("an older count has taken back a newer one: %+v", records)
	}
	f.noteCounted("nobody", next, true)
	f.wantUncounted()
}

func recordsOfEnded(f *fixture) {
	boot, other := f.join("a"), f.join("b")
	fence := f.started(boot)
	f.noteCounted(boot, f.now(), true) // it runs something
	f.wantUncounted()
	f.leave(boot)
	f.wantUncounted()
	f.reassign()
	f.wantUncounted(boot)
	f.noteCounted(boot, f.now(), false)
	f.wantUncounted(boot)
	f.noteCounted(boot, f.now(), true)
	f.wantUncounted()
	f.land(calls(fenceOf(other, f.take(other, 1)[0]), 1))
	f.noteCounted(other, f.now(), true)
	f.leave(other)
	f.reassign()
	f.wantUncounted(other)
	if run := f.run(fence.Run); run.State != workflow.Available {
		f.Errorf("run is %s", run.State)
	}
}

func recordsOfDead(f *fixture) {
	dead, judge := f.join("dead"), f.join("judge")
	fence := f.started(dead)
	f.land(calls(fence, 1))
	f.declare(judge, dead)
	f.land(calls(after(fence), 1)) // until the run is released, its owner is
	f.wantUncounted()
	f.reassign()
	f.wantUncounted(dead)
	f.refuse(calls(after(after(fence)), 1), persistence.ErrFenced)
	if records, _ := f.recorded(dead, time.Time{}); len(records) != 2 {
		f.Errorf("records %+v, want two", records)
	}
}

func recordsAfterRestart(f *fixture) {
	dead := f.join("a")
	f.land(calls(f.started(dead), 2))
	f.restart()
	f.reassign()
	f.wantUncounted(dead)
	if records, _ := f.recorded(dead, time.Time{}); len(records) != 2 {
		f.Errorf("records %+v, want two", records)
	}
}

func recordsPruned(f *fixture) {
	boot := f.join("a")
	w := completion(f.started(boot))
	w.Entry.Facts = calls(w.Fence, 1).Entry.Facts
	f.land(w)
	f.prune(ages(expired, kept), 10)
	if records, _ := f.recorded(boot, time.Time{}); len(records) != 0 {
		f.Errorf("records %+v of a run that was pruned", records)
	}
}
