package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"singularity/actors"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// owned are runs that a boot owns.
func owned(t *testing.T, store persistence.Store, count int) (fences []persistence.Fence) {
	t.Helper()
	boot := persistence.BootID(workflow.NewRunID().String())
	if err := store.Join(t.Context(), persistence.Boot{ID: boot, Instance: string(boot)}); err != nil {
		t.Fatal(err)
	}
	var batch []persistence.Write
	for range count {
		insert := draft()
		insert.Owner = boot
		batch = append(batch, insert)
		fences = append(fences, persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1})
	}
	land(t, store, batch...)
	return fences
}

func draft() persistence.Insert {
	return persistence.Insert{
		Run: workflow.NewRunID(), Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(`{}`),
	}
}

// advance is a checkpoint.
func advance(fence persistence.Fence) persistence.Advance {
	return persistence.Advance{
		Fence: fence, State: workflow.Running, Step: "pay",
		Entry: &persistence.Entry{
			Step: "reserve", Attempt: 1, Outcome: workflow.StepCompleted, State: []byte(`{"reserved":true}`),
			StartedAt: time.Now(), FinishedAt: time.Now(),
		},
	}
}

func land(t *testing.T, store persistence.Store, batch ...persistence.Write) {
	t.Helper()
	verdicts, err := store.Commit(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, verdict := range verdicts {
		if verdict.Err != nil {
			t.Fatalf("%T: %v", batch[i], verdict.Err)
		}
	}
}

func advances(fences []persistence.Fence) (batch []persistence.Write) {
	for _, fence := range fences {
		batch = append(batch, advance(fence))
	}
	return batch
}

func TestBatchIsOneStatementAndOneRoundTrip(t *testing.T) {
	t.Parallel()
	wire, url := newWire(t, testpostgres.URL(t))
	store := openAt(t, postgres.Config{URL: url})
	fences := owned(t, store, 250)

	executed, ended := wire.count(execute), wire.count(endOf)
	land(t, store, advances(fences)...)
	if executed, ended = wire.count(execute)-executed, wire.count(endOf)-ended; executed != 1 || ended != 1 {
		t.Errorf("250 checkpoints were %d statements in %d round trips, want 1 in 1", executed, ended)
	}

	var batch []persistence.Write
	for i, fence := range fences {
		fence.Seq = 1
		w := advance(fence)
		w.Entry.Facts = []workflow.Fact{{Kind: "cost", Doc: []byte(`1`)}}
		w.Entry.Messages = []workflow.Message{{Agent: "desk", ID: fmt.Sprint(i)}}
		w.State, w.Summary = workflow.Completed, &workflow.Summary{Model: "m"}
		batch = append(batch, w, draft())
	}
	executed, ended = wire.count(execute), wire.count(endOf)
	land(t, store, batch...)
	// Inserts, the inbox's lock, advances, records, messages, results.
	if executed, ended = wire.count(execute)-executed, wire.count(endOf)-ended; executed != 6 || ended != 1 {
		t.Errorf("250 ends and inserts with all that belongs to them were %d statements in %d round trips, want 6 in 1", executed, ended)
	}
}

func TestBatchWhoseEndIsLostIsUnknownAndLandsOnceWhenRepeated(t *testing.T) {
	t.Parallel()
	for name, loss := range map[string]int32{"the end does not arrive": lastWord, "the answer does not arrive": answer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wire, url := newWire(t, testpostgres.URL(t))
			store := openAt(t, postgres.Config{URL: url, Writers: 1})
			fences := owned(t, store, 3)
			ended := advance(fences[1])
			ended.State = workflow.Completed
			released := persistence.Advance{Fence: fences[2], State: workflow.Available, Step: "reserve"}
			inserted := draft()
			batch := []persistence.Write{advance(fences[0]), ended, released, inserted}

			wire.loss.Store(loss)
			_, err := store.Commit(t.Context(), batch)
			if !errors.Is(err, workflow.ErrOutcomeUnknown) || errors.Is(err, workflow.ErrUnavailable) {
				t.Fatalf("commit: %v, want %v", err, workflow.ErrOutcomeUnknown)
			}
			land(t, store, batch...)
			land(t, store, batch...)
			for i, fence := range fences {
				run, err := store.Run(t.Context(), fence.Run)
				if err != nil {
					t.Fatal(err)
				}
				steps, err := store.Steps(t.Context(), fence.Run)
				if err != nil {
					t.Fatal(err)
				}
				if want := []workflow.State{workflow.Running, workflow.Completed, workflow.Available}[i]; run.State != want {
					t.Errorf("run is %s, want %s", run.State, want)
				}
				if want := []int{1, 1, 0}[i]; len(steps) != want {
					t.Errorf("%s run has %d lines of history, want %d", run.State, len(steps), want)
				}
			}
		})
	}
}

func TestStoreThatLostItsConnectionsGoesOn(t *testing.T) {
	t.Parallel()
	store := open(t)
	fences := owned(t, store, 2)
	land(t, store, advance(fences[0]))
	_, err := store.outside(t).Exec(t.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := store.Commit(t.Context(), []persistence.Write{advance(fences[1])})
	if errors.Is(err, workflow.ErrOutcomeUnknown) || errors.Is(err, workflow.ErrUnavailable) {
		verdicts, err = store.Commit(t.Context(), []persistence.Write{advance(fences[1])})
	}
	if err != nil || verdicts[0].Err != nil {
		t.Errorf("commit on a new connection: %v, %+v", err, verdicts)
	}
}

func TestWriteThatCannotBeStoredFailsAlone(t *testing.T) {
	t.Parallel()
	store := open(t)
	bad := map[string]func(*persistence.Advance){
		"a zero character":   func(w *persistence.Advance) { w.Error = "a\x00b" },
		"no UTF-8":           func(w *persistence.Advance) { w.Entry.State = []byte("\"\xff\"") },
		"a number too large": func(w *persistence.Advance) { w.Turn = 1 << 40 },
		"a summary not JSON": func(w *persistence.Advance) {
			w.State, w.Summary = workflow.Failed, &workflow.Summary{Insights: []byte(`{`)}
		},
		"a fact with a zero":  func(w *persistence.Advance) { w.Entry.Facts = []workflow.Fact{{Kind: "\x00"}} },
		"a message with zero": func(w *persistence.Advance) { w.Entry.Messages = []workflow.Message{{Agent: "\x00"}} },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fences := owned(t, store, 40)
			verdicts := throughJournal(t, store, fences, func(i int, w *persistence.Advance) {
				if i == 17 {
					spoil(w)
				}
			})
			for i, err := range verdicts {
				if want := map[bool]error{i == 17: persistence.ErrBadWrite}[true]; !errors.Is(err, want) {
					t.Errorf("write %d: %v, want %v", i, err, want)
				}
			}
		})
	}
}

// throughJournal lets a journal commit a checkpoint for each fence.
func throughJournal(t *testing.T, store persistence.Store, fences []persistence.Fence, adjust func(int, *persistence.Advance)) []error {
	t.Helper()
	journal := actors.NewJournal(store, actors.JournalConfig{Logger: slog.New(slog.DiscardHandler)})
	verdicts := make([]error, len(fences))
	var answered, running sync.WaitGroup
	for i, fence := range fences {
		w := advance(fence)
		adjust(i, &w)
		answered.Add(1)
		journal.Append(w, func(verdict persistence.Verdict) {
			verdicts[i] = verdict.Err
			answered.Done()
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	running.Go(func() { _ = journal.Run(ctx) })
	answered.Wait()
	stop()
	running.Wait()
	return verdicts
}

func TestSummaryWithCharactersThatPostgresRefusesIsStored(t *testing.T) {
	t.Parallel()
	store := open(t)
	w := advance(owned(t, store, 1)[0])
	w.State = workflow.Completed
	w.Summary = &workflow.Summary{Insights: []byte(`{"a":"\u0000","b":"\ud800","c":"\\u0000","d":1.50}`)}
	land(t, store, w)
	var got string
	if err := store.outside(t).QueryRow(t.Context(), `SELECT insights FROM job_results`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := `{"a": "�", "b": "�", "c": "\\u0000", "d": 1.50}`; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

func TestOpenTransactionThatHoldsAKeyIsNamed(t *testing.T) {
	t.Parallel()
	for kind, hold := range map[string]func(*persistence.Insert){
		"key": func(w *persistence.Insert) { w.Key = "k" },
		"unique key": func(w *persistence.Insert) {
			w.Unique = &persistence.Unique{Key: [32]byte{1}, By: workflow.ByQueue, OnConflict: workflow.Attach}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			openTransactionHolds(t, hold)
		})
	}
}

func openTransactionHolds(t *testing.T, hold func(*persistence.Insert)) {
	t.Helper()
	store := open(t)
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := draft()
	hold(&held)
	if verdict, err := store.InsertTx(t.Context(), tx, held); err != nil || verdict.Err != nil {
		t.Fatalf("insert: %+v, %v", verdict, err)
	}
	again := draft()
	hold(&again)
	_, err = store.Commit(t.Context(), []persistence.Write{again})
	if !errors.Is(err, workflow.ErrUnavailable) {
		t.Fatalf("commit: %v, want %v", err, workflow.ErrUnavailable)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	verdicts, err := store.Commit(t.Context(), []persistence.Write{again})
	if err != nil || verdicts[0].Existing == nil || verdicts[0].Existing.ID != held.Run {
		t.Errorf("commit: %+v, %v; want the run of the transaction", verdicts, err)
	}
}
