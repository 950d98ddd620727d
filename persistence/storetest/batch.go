package storetest

import (
	"context"
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var batchStories = []story{
	{name: "batch/answers each write in its place", tell: batchVerdicts},
	{name: "batch/an empty batch is no work", tell: batchEmpty},
	{name: "batch/a refused write does not keep the others from landing", tell: batchRefusal},
	{name: "batch/a bad write keeps the whole batch from landing", tell: batchBadWrite},
	{name: "batch/one that was cancelled before leaves nothing", tell: batchCancelledBefore},
	{name: "batch/one that is cancelled on its way lands whole or not at all", tell: batchCancelledDuring},
	{name: "context/calls return when their context has ended", tell: contextEnded},
}

func batchVerdicts(f *fixture) {
	boot := f.join("a")
	fence, cancelled, owned := f.started(boot), f.stored(), f.draft()
	owned.Owner = boot
	verdicts := f.commit(
		checkpoint(fence, "pay"),
		persistence.Cancel{Run: workflow.NewRunID()},
		owned,
		persistence.Cancel{Run: cancelled},
		persistence.Reactivate{Run: workflow.NewRunID(), Boot: boot},
	)
	for i, want := range []error{nil, workflow.ErrRunNotFound, nil, nil, persistence.ErrFenced} {
		if !errors.Is(verdicts[i].Err, want) {
			f.Errorf("verdict %d: %v, want %v", i, verdicts[i].Err, want)
		}
	}
	if !verdicts[2].Owned || verdicts[3].Changed == nil {
		f.Errorf("verdicts %+v and %+v, want an owned and a changed run", verdicts[2], verdicts[3])
	}
}

func batchEmpty(f *fixture) { f.commit() }

func batchRefusal(f *fixture) {
	boot := f.join("a")
	first, second, third := f.started(boot), f.started(boot), f.started(boot)
	stale := second
	stale.Epoch++
	verdicts := f.commit(checkpoint(first, "pay"), checkpoint(stale, "pay"), checkpoint(third, "pay"))
	if verdicts[0].Err != nil || !errors.Is(verdicts[1].Err, persistence.ErrFenced) || verdicts[2].Err != nil {
		f.Errorf("verdicts %+v, want the second alone to be fenced", verdicts)
	}
	for _, fence := range []persistence.Fence{first, third} {
		if run := f.run(fence.Run); run.Step != "pay" {
			f.Errorf("run %+v, want it at pay", run)
		}
	}
}

func batchBadWrite(f *fixture) {
	boot := f.join("a")
	bad := []struct {
		name  string
		write func() persistence.Write
	}{
		{"priority 10", func() persistence.Write {
			insert := f.draft()
			insert.Priority = 10
			return insert
		}},
		{"priority -1", func() persistence.Write {
			insert := f.draft()
			insert.Priority = -1
			return insert
		}},
		{"a claim without an id", func() persistence.Write { return persistence.Claim{Boot: boot, Queue: queue, Limit: 1} }},
		{"an owner quarantining", func() persistence.Write { return release(f.started(boot), workflow.Quarantined, 0) }},
		{"an owner scheduling", func() persistence.Write { return release(f.started(boot), workflow.Scheduled, 0) }},
		{"no state", func() persistence.Write { return release(f.started(boot), "", 0) }},
		{"going on without an entry", func() persistence.Write { return release(f.started(boot), workflow.Running, 0) }},
		{"an outcome that there is not", func() persistence.Write {
			w := checkpoint(f.started(boot), "pay")
			w.Entry.Outcome = "perhaps"
			return w
		}},
	}
	for _, c := range bad {
		before, late := f.started(boot), f.started(boot)
		inserted, write := f.draft(), c.write()
		batch := []persistence.Write{inserted, checkpoint(before, "pay"), write, completion(late)}
		if _, err := f.store.Commit(f.Context(), batch); !errors.Is(err, persistence.ErrBadWrite) {
			f.Errorf("%s: %v, want %v", c.name, err, persistence.ErrBadWrite)
			continue
		}
		if !f.gone(inserted.Run) || f.run(before.Run).Step == "pay" || len(f.steps(before.Run)) != 0 {
			f.Errorf("%s: what came before it landed", c.name)
		}
		f.wantState(late.Run, workflow.Running)
		if _, err := f.store.Commit(f.Context(), []persistence.Write{write}); !errors.Is(err, persistence.ErrBadWrite) {
			f.Errorf("%s alone: %v, want %v", c.name, err, persistence.ErrBadWrite)
		}
		f.commit(inserted, checkpoint(before, "pay"), completion(late))
	}
}

func batchCancelledBefore(f *fixture) {
	insert := f.draft()
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	if _, err := f.store.Commit(ctx, []persistence.Write{insert}); !errors.Is(err, context.Canceled) {
		f.Errorf("commit: %v, want %v", err, context.Canceled)
	}
	if !f.gone(insert.Run) {
		f.Errorf("the run was inserted")
	}
	f.land(insert)
}

func batchCancelledDuring(f *fixture) {
	const writes = 64
	boot := f.join("a")
	for delay := 8 * time.Microsecond; delay < 20*time.Millisecond; delay *= 2 {
		var batch []persistence.Write
		var runs []workflow.RunID
		for range writes {
			insert := f.draft()
			insert.Owner = boot
			batch, runs = append(batch, insert), append(runs, insert.Run)
		}
		ctx, cancel := context.WithTimeout(f.Context(), delay)
		_, err := f.store.Commit(ctx, batch)
		cancel()
		landed := 0
		for _, id := range runs {
			if !f.gone(id) {
				landed++
			}
		}
		known := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, workflow.ErrOutcomeUnknown)
		switch {
		case landed != 0 && landed != writes:
			f.Fatalf("cancelled after %s: %d of %d writes landed (%v)", delay, landed, writes, err)
		case err == nil && landed == 0:
			f.Errorf("cancelled after %s: committed, and nothing is there", delay)
		case err != nil && !known:
			f.Errorf("cancelled after %s: %v, want %v", delay, err, context.DeadlineExceeded)
		case err != nil && landed != 0 && !errors.Is(err, workflow.ErrOutcomeUnknown):
			f.Errorf("cancelled after %s: %v, and all is there", delay, err)
		}
	}
	f.land(f.draft()) // the store goes on
}

func contextEnded(f *fixture) {
	boot, id := f.join("a"), f.stored()
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	calls := map[string]func() error{
		"Commit":    func() error { _, err := f.store.Commit(ctx, nil); return err },
		"Run":       func() error { _, err := f.store.Run(ctx, id); return err },
		"Runs":      func() error { _, err := f.store.Runs(ctx, workflow.Filter{}); return err },
		"Steps":     func() error { _, err := f.store.Steps(ctx, id); return err },
		"Owned":     func() error { _, err := f.store.Owned(ctx, boot); return err },
		"Backlog":   func() error { _, err := f.store.Backlog(ctx, known); return err },
		"Join":      func() error { return f.store.Join(ctx, persistence.Boot{ID: "late"}) },
		"Leave":     func() error { return f.store.Leave(ctx, boot) },
		"Reassign":  func() error { _, err := f.store.Reassign(ctx, 1); return err },
		"Takeovers": func() error { _, err := f.store.Takeovers(ctx, 1); return err },
		"Expired": func() error {
			_, err := f.store.Expired(ctx, persistence.RetentionPolicy{})
			return err
		},
		"Prune": func() error {
			_, err := f.store.Prune(ctx, persistence.RetentionPolicy{}, 1)
			return err
		},
		"RegisterAgent": func() error { _, err := f.store.RegisterAgent(ctx, persistence.Agent{Name: "desk"}, false); return err },
		"Agent":         func() error { _, err := f.store.Agent(ctx, "desk"); return err },
		"Agents":        func() error { _, err := f.store.Agents(ctx); return err },
		"Inbox":         func() error { _, err := f.store.Inbox(ctx, "desk", 0, 1); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
	f.land(claimOf(boot, 1))
}
