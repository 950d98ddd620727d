package actors

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// keyedInsert asks for a run with a key.
func keyedInsert(key string) persistence.Insert {
	return persistence.Insert{Run: workflow.NewRunID(), Key: key}
}

// holding makes a store wait for a lock and give up, as long as a batch has a
// write for which held holds.
func holding(waits time.Duration, held func(persistence.Write) bool) func([]persistence.Write) error {
	return func(batch []persistence.Write) error {
		if slices.ContainsFunc(batch, held) {
			time.Sleep(waits)
			return persistence.ErrContended
		}
		return nil
	}
}

func TestHeldKeyDelaysNothingButItself(t *testing.T) {
	t.Parallel()
	heldKeyDelaysNothingButItself(t, keyedInsert)
}

func TestHeldUniqueKeyDelaysNothingButItself(t *testing.T) {
	t.Parallel()
	heldKeyDelaysNothingButItself(t, func(key string) persistence.Insert {
		insert := keyedInsert("")
		insert.Unique = &persistence.Unique{Key: sha256.Sum256([]byte(key))}
		return insert
	})
}

func heldKeyDelaysNothingButItself(t *testing.T, insertOf func(key string) persistence.Insert) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		held := insertOf("held")
		store, checkpoints, inserts := &ledgerStore{}, collectVerdicts(t), collectVerdicts(t)
		store.fault = holding(time.Second, func(w persistence.Write) bool {
			return w.Subject() == held.Run
		})
		journal, _ := runJournal(t, storeWithoutTurns{store}, JournalConfig{Writers: 2, KeyWriter: true})
		began := time.Now()
		for i, insert := range []persistence.Insert{insertOf("a"), held, insertOf("b"), insertOf("c")} {
			journal.Append(insert, inserts.reply(i))
		}
		for i := range 50 {
			journal.Append(advance(workflow.NewRunID(), 0), checkpoints.reply(i))
		}
		checkpoints.want(50, none, nil)
		if took := time.Since(began); took != 0 {
			t.Errorf("checkpoints waited %s for somebody else's key", took)
		}
		time.Sleep(2 * time.Second) // the batch waits once, and the held key once more
		inserts.want(4, func(i int) bool { return i == 1 }, workflow.ErrUnavailable)
		if err := journal.Outage(); err != nil {
			t.Errorf("a held key is taken for an outage: %v", err)
		}
	})
}

func TestCheckpointOfALockedRunWaitsBehindTheOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{}, collectVerdicts(t)
		locked, unlocked := workflow.NewRunID(), make(chan struct{})
		store.fault = holding(time.Second, func(w persistence.Write) bool {
			select {
			case <-unlocked:
				return false
			default:
				return w.Subject() == locked
			}
		})
		journal, _ := runJournal(t, storeWithoutTurns{store}, JournalConfig{})
		journal.Append(advance(locked, 0), got.reply(0))
		for i := 1; i < 20; i++ {
			journal.Append(advance(workflow.NewRunID(), 0), got.reply(i))
		}
		time.Sleep(4 * time.Second)
		got.want(19, none, nil)
		close(unlocked)
		time.Sleep(4 * time.Second)
		got.want(20, none, nil)
	})
}

// storeWithoutTurns lets commits of several writers wait side by side.
type storeWithoutTurns struct{ *ledgerStore }

func (s storeWithoutTurns) Commit(_ context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if err := fault(batch); err != nil {
		return nil, err
	}
	return make([]persistence.Verdict, len(batch)), nil
}

func TestContendedIsNoVerdictOfARun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		node := startNode(t, store, Config{}, workflow.New("flow", add("one"), add("two")))
		left := 3
		store.beforeCommit(func(batch []persistence.Write) error {
			if left > 0 && has(batch, finishes("one")) {
				left--
				return persistence.ErrContended
			}
			return nil
		})
		run := start(t, node, workflow.New("flow", add("one"), add("two")))
		synctest.Wait()
		if _, err := run.Wait(t.Context()); err != nil || left != 0 {
			t.Errorf("the run ended with %v, %d refusals left", errors.Join(err), left)
		}
	})
}
