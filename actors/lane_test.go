package actors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// byWorker appends a write as an attempt does that has returned, and waits for
// the worker's end.
func byWorker(journal *Journal, write persistence.Write, reply func(persistence.Verdict)) {
	ended := make(chan struct{})
	startWorker(func(w *worker) {
		w.release()
		journal.AppendBy(w, write, reply)
		w.next = lastly(w.next, ended)
	})
	<-ended
}

// lastly is an errand and then the end of its worker.
func lastly(do errand, ended chan struct{}) errand {
	return func(w *worker) {
		if do != nil {
			do(w)
		}
		close(ended)
	}
}

func TestWorkerCommitsALoneWriteInTheWritersPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		journal, _ := runJournal(t, store, JournalConfig{})
		synctest.Wait() // the writer is there
		byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(0))
		if n := len(got.of); n != 1 {
			t.Error("the worker ended before its write was answered")
		}
		got.want(1, none, nil)
	})
}

func TestWorkerLeavesToTheWriterWhatWaitsBesidesAndWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		journal, _ := runJournal(t, store, JournalConfig{})
		synctest.Wait()
		go byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(0))
		synctest.Wait() // its commit is under way
		for i := 1; i < 4; i++ {
			go byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(i))
		}
		time.Sleep(time.Minute)
		got.want(4, none, nil)
		if sizes := store.sizes(); len(sizes) != 2 || sizes[0] != 1 || sizes[1] != 3 {
			t.Errorf("batches of %v, want one of 1 and one of 3", sizes)
		}
	})
}

func TestWriterRepeatsTheCommitThatFailedForAWorker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		store.setFault(func([]persistence.Write) error { return workflow.ErrUnavailable })
		journal, _ := runJournal(t, store, JournalConfig{})
		synctest.Wait()
		byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(0))
		got.want(0, none, nil) // the worker does not wait for the store
		time.Sleep(5 * time.Second)
		if journal.Outage() == nil {
			t.Error("the writer does not report the outage")
		}
		store.setFault(nil)
		time.Sleep(time.Minute)
		got.want(1, none, nil)
	})
}

func TestPanicOfTheStoreUnderAWorkerEndsTheWriter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{}, collectVerdicts(t)
		store.setFault(func([]persistence.Write) error { panic("the driver is haunted") })
		journal := NewJournal(store, JournalConfig{Logger: quiet()})
		ended := make(chan error, 1)
		go func() { ended <- journal.Run(t.Context()) }()
		synctest.Wait()
		byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(0))
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "haunted") {
			t.Errorf("the journal ended with %v", err)
		}
		got.want(1, all, workflow.ErrOutcomeUnknown)
	})
}

func TestWorkerCommitsNothingWhileTheJournalDoesNotRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{}, collectVerdicts(t)
		journal := NewJournal(store, JournalConfig{Logger: quiet()})
		byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(0))
		got.want(0, none, nil)
		if store.tries != 0 {
			t.Error("the write went to the store")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("only what was appended before"))
		if err := journal.Run(ctx); err != nil {
			t.Fatal(err)
		}
		got.want(1, none, nil)
	})
}

func TestStopWaitsForTheCommitOfAWorker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		journal, stop := runJournal(t, store, JournalConfig{})
		synctest.Wait()
		go byWorker(journal, advance(workflow.NewRunID(), 0), got.reply(0))
		synctest.Wait()
		stop()
		got.want(1, none, nil)
	})
}
