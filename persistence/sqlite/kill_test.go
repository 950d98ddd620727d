//go:build unix

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"singularity/persistence"
	"singularity/persistence/sqlite"
	"singularity/workflow"
)

// commitForEver takes runs from step to step, several commits in flight, and
// says which landed, once it was told so.
func commitForEver(store *sqlite.Store) error {
	ctx := context.Background()
	boot := persistence.BootID(workflow.NewRunID().String())
	if err := store.Join(ctx, persistence.Boot{ID: boot, Instance: "doomed"}); err != nil {
		return err
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				if err := liveRuns(ctx, store, boot); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
			}
		})
	}
	group.Wait()
	return nil
}

// liveRuns takes two runs through their lives in shared batches.
func liveRuns(ctx context.Context, store *sqlite.Store, boot persistence.BootID) error {
	ids := []workflow.RunID{workflow.NewRunID(), workflow.NewRunID()}
	for seq := range int64(6) {
		var batch []persistence.Write
		var lines strings.Builder
		for _, id := range ids {
			if seq == 0 {
				batch = append(batch, persistence.Insert{
					Run: id, Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(`{}`), Owner: boot,
				})
			} else {
				w := step(persistence.Fence{Run: id, Boot: boot, Epoch: 1, Seq: seq - 1}, []byte(fmt.Sprint(seq)))
				if seq == 5 {
					w.State = workflow.Completed
				}
				batch = append(batch, w)
			}
			fmt.Fprintln(&lines, id, seq)
		}
		verdicts, err := store.Commit(ctx, batch)
		if err != nil {
			return err
		}
		for _, verdict := range verdicts {
			if verdict.Err != nil {
				return verdict.Err
			}
		}
		fmt.Print(lines.String())
	}
	return nil
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	const rounds = 20
	dir := t.TempDir()
	for round := range rounds {
		acknowledged := killAmidCommits(t, dir)
		store := openIn(t, dir)
		for id, seq := range acknowledged {
			if err := survived(t, store, id, seq); err != nil {
				t.Errorf("round %d: run %s, acknowledged up to %d: %v", round, id, seq, err)
			}
		}
		if got := query(t, store.outside(t), `PRAGMA integrity_check`); got != "ok" {
			t.Fatalf("round %d: integrity check says %s", round, got)
		}
		if _, err := store.Reassign(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAmidCommits lets a child process commit, kills it with signal 9 and
// returns the last commit of each run that it acknowledged.
func killAmidCommits(t *testing.T, dir string) map[workflow.RunID]int64 {
	t.Helper()
	doomed := spawn(t, "commit", dir)
	acknowledged := map[workflow.RunID]int64{}
	remaining := 50 + rand.IntN(200)
	for doomed.lines.Scan() {
		var text string
		var seq int64
		if _, err := fmt.Sscan(doomed.lines.Text(), &text, &seq); err != nil {
			if remaining <= 0 {
				break // the line in which it died
			}
			t.Fatalf("child process said %q", doomed.lines.Text())
		}
		id, err := workflow.ParseRunID(text)
		if err != nil {
			t.Fatal(err)
		}
		acknowledged[id] = seq
		if remaining--; remaining == 0 {
			if err := doomed.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = doomed.Wait()
	status := doomed.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("child process ended with %s, want it killed", doomed.ProcessState)
	}
	return acknowledged
}

// survived checks that a run is there with all commits up to seq, and that
// what it has beyond them is whole.
func survived(t *testing.T, store persistence.Store, id workflow.RunID, seq int64) error {
	t.Helper()
	run, err := store.Run(t.Context(), id)
	if err != nil {
		return err
	}
	steps, err := store.Steps(t.Context(), id)
	if err != nil {
		return err
	}
	if int64(len(steps)) < seq {
		return fmt.Errorf("only %d are there", len(steps))
	}
	for i, step := range steps {
		if step.Seq != int64(i+1) || string(step.State) != fmt.Sprint(step.Seq) {
			return fmt.Errorf("line %d is %d with state %s", i+1, step.Seq, step.State)
		}
	}
	if (run.State == workflow.Completed) != (len(steps) == 5) {
		return errors.New("it is " + string(run.State) + " with " + fmt.Sprint(len(steps)) + " steps")
	}
	return nil
}
