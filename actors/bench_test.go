package actors

import (
	"sync"
	"testing"

	"singularity/persistence/memory"
	"singularity/workflow"
)

// BenchmarkEphemeralRunsInFlight drives 64 four-step runs at a time.
func BenchmarkEphemeralRunsInFlight(b *testing.B) {
	four := workflow.New("four", add("one"), add("two"), add("three"), add("four")).Durability(workflow.Ephemeral)
	node := openNode(b, memory.New(), Config{Queues: map[string]int{"default": 64}}, four)
	b.ReportAllocs()
	b.ResetTimer()
	var workers sync.WaitGroup
	jobs := make(chan struct{})
	for range 64 {
		workers.Go(func() {
			for range jobs {
				run, err := four.Start(b.Context(), node, count{})
				if err == nil {
					_, err = run.Wait(b.Context())
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N {
		jobs <- struct{}{}
	}
	close(jobs)
	workers.Wait()
}

func benchmarkRuns(b *testing.B, level workflow.Durability) {
	four := workflow.New("four", add("one"), add("two"), add("three"), add("four")).Durability(level)
	node := openNode(b, memory.New(), Config{Queues: map[string]int{"default": 256}}, four)
	b.ReportAllocs()
	for b.Loop() {
		run, err := four.Start(b.Context(), node, count{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := run.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEphemeralRun(b *testing.B)    { benchmarkRuns(b, workflow.Ephemeral) }
func BenchmarkRestartableRun(b *testing.B)  { benchmarkRuns(b, workflow.Restartable) }
func BenchmarkCheckpointedRun(b *testing.B) { benchmarkRuns(b, workflow.Checkpointed) }
