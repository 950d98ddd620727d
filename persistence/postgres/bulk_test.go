package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// keyed are drafts with the given keys.
func keyed(keys []string) []persistence.Insert {
	inserts := make([]persistence.Insert, len(keys))
	for i, key := range keys {
		inserts[i] = draft()
		inserts[i].Key = key
	}
	return inserts
}

func TestBulkInsertGivesUpOnAKeyThatAnOpenTransactionHolds(t *testing.T) {
	t.Parallel()
	store := open(t)
	held := draft()
	held.Key = "held"
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if verdict, err := store.InsertTx(t.Context(), tx, held); err != nil || verdict.Err != nil {
		t.Fatalf("insert: %+v, %v", verdict, err)
	}
	inserts := keyed([]string{"free", "held"})
	fences := owned(t, store, 1)
	var bulk sync.WaitGroup
	bulk.Go(func() {
		if _, err := store.InsertAll(t.Context(), inserts); !errors.Is(err, persistence.ErrContended) {
			t.Errorf("insert of a held key: %v, want %v", err, persistence.ErrContended)
		}
	})
	land(t, store, advances(fences)...) // meanwhile
	bulk.Wait()
	if _, err := store.Run(t.Context(), inserts[0].Run); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("the run with the free key: %v, want %v", err, workflow.ErrRunNotFound)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := store.InsertAll(t.Context(), inserts)
	if err != nil || list[0].Attached || list[1].Run != held.Run {
		t.Errorf("insert after the commit: %+v, %v; want the second attached to run %s", list, err, held.Run)
	}
}

func TestBulkInsertsWithTheSameKeysAgree(t *testing.T) {
	t.Parallel()
	store := open(t)
	second := openAt(t, postgres.Config{URL: store.url, LeaseTerm: longTerm})
	var keys []string
	for i := range 500 {
		keys = append(keys, fmt.Sprintf("k%d", i))
	}
	backward := slices.Clone(keys)
	slices.Reverse(backward)
	var (
		lists [2][]persistence.Inserted
		errs  [2]error
		calls sync.WaitGroup
	)
	calls.Go(func() { lists[0], errs[0] = store.InsertAll(t.Context(), keyed(keys)) })
	calls.Go(func() { lists[1], errs[1] = second.InsertAll(t.Context(), keyed(backward)) })
	calls.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(lists[1])
	for i := range keys {
		if a, b := lists[0][i], lists[1][i]; a.Run != b.Run || a.Attached == b.Attached {
			t.Fatalf("key %d: %+v and %+v, want one run that one of them added", i, a, b)
		}
	}
}
