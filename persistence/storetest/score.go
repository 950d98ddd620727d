package storetest

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var scoreStories = []story{
	{name: "scores/they are with the record, in the history too", tell: scoresAreKept},
	{name: "scores/the last one of a name holds, and the same again is none", tell: scoresReplace},
	{name: "scores/an epoch that got some is to be counted again, once", tell: scoresMark},
	{name: "scores/one that comes while it is counted is counted, too", tell: scoresMeanwhile},
	{name: "scores/those of a boot that ended are counted, too", tell: scoresOfEnded},
	{name: "scores/an epoch is read as a whole, and nothing else", tell: scoresReadEpoch},
	{name: "scores/there are so many names at most", tell: scoresLimit},
	{name: "scores/a run that is gone takes none", tell: scoresOfNothing},
	{name: "scores/those that come at once are all kept", tell: scoresAtOnce},
	{name: "scores/they go with their run", tell: scoresPruned},
	{name: "scores/a process that died leaves them", restarts: true, tell: scoresAfterRestart},
}

func (f *fixture) recordsOf(id workflow.RunID) []persistence.Record {
	f.Helper()
	records, err := f.store.RecordsOf(f.Context(), id)
	if err != nil {
		f.Fatalf("records of run %s: %v", id, err)
	}
	return records
}

func (f *fixture) score(id persistence.RecordID, name string, value float64) map[string]float64 {
	f.Helper()
	scores, err := f.store.Score(f.Context(), id, workflow.Score{Name: name, Value: value})
	if err != nil {
		f.Fatalf("score %+v: %v", id, err)
	}
	return scores
}

// wantRescored checks how many epochs are to be counted again, and returns the last.
func (f *fixture) wantRescored(n int) (last persistence.RescoredEpoch) {
	f.Helper()
	epochs, err := f.store.Rescored(f.Context())
	if err != nil {
		f.Fatalf("rescored: %v", err)
	}
	if len(epochs) != n {
		f.Fatalf("epochs %+v got scores, want %d", epochs, n)
	}
	if n > 0 {
		last = epochs[n-1]
	}
	return last
}

func (f *fixture) readEpoch(epoch persistence.RescoredEpoch) (records []persistence.Record) {
	f.Helper()
	err := f.store.ReadEpoch(f.Context(), epoch.Boot, epoch.Epoch, func(record persistence.Record) error {
		records = append(records, record)
		return nil
	})
	if err != nil {
		f.Fatalf("read epoch %+v: %v", epoch, err)
	}
	return records
}

func (f *fixture) noteRescored(records ...persistence.Record) {
	f.Helper()
	if err := f.store.NoteRescored(f.Context(), records); err != nil {
		f.Fatalf("note rescored: %v", err)
	}
}

func scoresAreKept(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(calls(fence, 2))
	f.land(calls(after(fence), 1))
	records := f.recordsOf(fence.Run)
	var got []string
	for _, record := range records {
		got = append(got, fmt.Sprintf("%d/%d %s %v", record.Seq, record.Number, record.Doc, record.Run == fence.Run))
	}
	if want := []string{`1/1 {"n":0} true`, `1/2 {"n":1} true`, `2/1 {"n":0} true`}; fmt.Sprint(got) != fmt.Sprint(want) {
		f.Fatalf("records %v, want %v", got, want)
	}
	if got, want := f.score(records[1].RecordID, "quality", 0.75), map[string]float64{"quality": 0.75}; !maps.Equal(got, want) {
		f.Errorf("scores %v, want %v", got, want)
	}
	want := map[string]float64{"quality": 0.75, "speed": 1}
	if got := f.score(records[1].RecordID, "speed", 1); !maps.Equal(got, want) {
		f.Errorf("scores %v, want %v", got, want)
	}
	for i, record := range f.recordsOf(fence.Run) {
		if scored := i == 1; scored && !maps.Equal(record.Scores, want) || !scored && record.Scores != nil {
			f.Errorf("record %d has the scores %v", i, record.Scores)
		}
	}
	read, _ := f.recorded(f.wantRescored(1).Boot, time.Time{})
	if len(read) != 3 || read[1].Rescored+read[0].Rescored+read[2].Rescored != 2 {
		f.Errorf("records %+v, want one whose scores changed twice", read)
	}
	steps := f.steps(fence.Run)
	if facts := steps[0].Facts; len(facts) != 3 || !maps.Equal(facts[2].Scores, want) || facts[0].Scores != nil || facts[1].Scores != nil {
		f.Errorf("facts %+v, want the scores with the last", facts)
	}
}

func scoresReplace(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(calls(fence, 1))
	id := f.recordsOf(fence.Run)[0].RecordID
	for i, step := range []struct {
		value   float64
		changes int64
	}{{1, 1}, {1, 1}, {0.25, 2}, {0.2500004, 2}, {0, 3}, {0, 3}, {1, 4}} {
		f.score(id, "quality", step.value)
		if record := f.recordsOf(fence.Run)[0]; record.Rescored != step.changes || len(record.Scores) != 1 {
			f.Errorf("score %d: %+v, want %d changes", i, record, step.changes)
		}
	}
	if got := f.recordsOf(fence.Run)[0].Scores["quality"]; got != 1 {
		f.Errorf("the quality is %v, want the last", got)
	}
}

func scoresMark(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.land(calls(fence, 2))
	f.wantRescored(0)
	records := f.recordsOf(fence.Run)
	f.score(records[0].RecordID, "quality", 1)
	f.score(records[1].RecordID, "quality", 0)
	epoch := f.wantRescored(1)
	if epoch.Boot != boot || epoch.Instance != "a" || !epoch.Epoch.Equal(records[0].StoredAt.Truncate(persistence.RecordEpoch)) {
		f.Errorf("epoch %+v, want that of %s of boot %s", epoch, records[0].StoredAt, boot)
	}
	read := f.readEpoch(epoch)
	f.noteRescored(read[0])
	f.wantRescored(1)
	f.noteRescored(read...)
	f.wantRescored(0)
	f.score(records[0].RecordID, "quality", 1) // as before
	f.wantRescored(0)
	f.score(records[0].RecordID, "quality", 0.5)
	f.wantRescored(1)
}

func scoresMeanwhile(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(calls(fence, 1))
	id := f.recordsOf(fence.Run)[0].RecordID
	f.score(id, "quality", 1)
	read := f.readEpoch(f.wantRescored(1))
	f.score(id, "quality", 0)
	f.noteRescored(read...)
	read = f.readEpoch(f.wantRescored(1))
	f.noteRescored(read...)
	f.wantRescored(0)
}

func scoresOfEnded(f *fixture) {
	boot := f.join("a")
	w := completion(f.started(boot))
	w.Entry.Facts = calls(w.Fence, 1).Entry.Facts
	f.land(w)
	f.leave(boot)
	f.noteCounted(boot, f.now(), true)
	f.wantUncounted()
	f.score(f.recordsOf(w.Run)[0].RecordID, "quality", 0.5)
	epoch := f.wantRescored(1)
	if epoch.Boot != boot || epoch.Instance != "a" {
		f.Errorf("epoch %+v, want one of %s", epoch, boot)
	}
	if read := f.readEpoch(epoch); len(read) != 1 || read[0].Scores["quality"] != 0.5 {
		f.Errorf("records %+v, want the one with its score", read)
	}
	f.wantUncounted()
}

func scoresReadEpoch(f *fixture) {
	a, b := f.join("a"), f.join("b")
	first, other := f.started(a), f.started(b)
	f.land(calls(first, 2))
	f.land(calls(other, 1))
	record := f.recordsOf(first.Run)[0]
	f.score(record.RecordID, "quality", 1)
	epoch := f.wantRescored(1)
	if read := f.readEpoch(epoch); len(read) != 2 || read[0].Run != first.Run || read[0].Rescored != 1 || read[1].Rescored != 0 {
		f.Errorf("records %+v, want both of the boot, one with a score", read)
	}
	epoch.Epoch = epoch.Epoch.Add(-persistence.RecordEpoch)
	if read := f.readEpoch(epoch); len(read) != 0 {
		f.Errorf("records %+v of the epoch before", read)
	}
}

func scoresLimit(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(calls(fence, 1))
	id := f.recordsOf(fence.Run)[0].RecordID
	for i := range workflow.MaxScores {
		f.score(id, fmt.Sprint("n", i), 1)
	}
	var refused *workflow.InputError
	if _, err := f.store.Score(f.Context(), id, workflow.Score{Name: "more", Value: 1}); !errors.As(err, &refused) || refused.Field != "name" {
		f.Errorf("one more name: %v, want one that names the field", err)
	}
	if scores := f.score(id, "n0", 0); len(scores) != workflow.MaxScores || scores["n0"] != 0 {
		f.Errorf("scores %v", scores)
	}
}

func scoresOfNothing(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(checkpoint(fence, "pay"))
	if records := f.recordsOf(fence.Run); len(records) != 0 {
		f.Errorf("records %+v of a run that called nobody", records)
	}
	if _, err := f.store.RecordsOf(f.Context(), workflow.NewRunID()); !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("records of no run: %v", err)
	}
	f.land(calls(after(fence), 1))
	for _, id := range []persistence.RecordID{
		{Run: workflow.NewRunID(), Seq: 1}, {Run: fence.Run, Seq: 2, Number: 7}, {Run: fence.Run, Seq: 9},
		{Run: fence.Run, Seq: 2, Number: 0}, // of another kind
	} {
		if _, err := f.store.Score(f.Context(), id, workflow.Score{Name: "quality", Value: 1}); !errors.Is(err, workflow.ErrRunNotFound) {
			f.Errorf("score of %+v: %v", id, err)
		}
	}
	f.wantRescored(0)
}

func scoresAtOnce(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(calls(fence, 1))
	id := f.recordsOf(fence.Run)[0].RecordID
	const many = 8
	var group sync.WaitGroup
	errs := make(chan error, many)
	for i := range many {
		group.Go(func() {
			_, err := f.store.Score(f.Context(), id, workflow.Score{Name: fmt.Sprint("n", i), Value: 1})
			errs <- err
		})
	}
	group.Wait()
	for range many {
		if err := <-errs; err != nil {
			f.Errorf("score: %v", err)
		}
	}
	if record := f.recordsOf(fence.Run)[0]; len(record.Scores) != many || record.Rescored != many {
		f.Errorf("record %+v, want %d scores and as many changes", record, many)
	}
}

func scoresPruned(f *fixture) {
	boot := f.join("a")
	w := completion(f.started(boot))
	w.Entry.Facts = calls(w.Fence, 1).Entry.Facts
	f.land(w)
	id := f.recordsOf(w.Run)[0].RecordID
	f.score(id, "quality", 1)
	f.prune(ages(expired, kept), 10)
	f.wantRescored(0)
	if _, err := f.store.Score(f.Context(), id, workflow.Score{Name: "quality", Value: 0}); !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("score of a run that was pruned: %v", err)
	}
}

func scoresAfterRestart(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.land(calls(fence, 1))
	f.score(f.recordsOf(fence.Run)[0].RecordID, "quality", 0.125)
	f.restart()
	if record := f.recordsOf(fence.Run)[0]; record.Scores["quality"] != 0.125 || record.Rescored != 1 {
		f.Errorf("record %+v, want its score", record)
	}
	if epoch := f.wantRescored(1); epoch.Boot != boot {
		f.Errorf("epoch %+v, want one of %s", epoch, boot)
	}
}
