//go:build linux

package postgres_test

import (
	"bytes"
	"fmt"
	"testing"

	"singularity/persistence"
	"singularity/workflow"
)

// BenchmarkInsertAll adds runs in bulk. An operation is one run, with an input of
// 150 bytes.
func BenchmarkInsertAll(b *testing.B) {
	input := bytes.Repeat([]byte("x"), 150)
	for _, keyed := range []bool{false, true} {
		for _, size := range []int{250, 1000, workflow.MaxStarts} {
			b.Run(fmt.Sprintf("keyed=%t/call=%d", keyed, size), func(b *testing.B) {
				store := benchmarked(b)
				inserts := make([]persistence.Insert, size)
				store.measure(b, func() {
					for done := 0; done < b.N; done += size {
						first := workflow.NewRunID()
						for i := range inserts {
							inserts[i] = persistence.Insert{
								Run: first.Offset(i), Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: input,
							}
							if keyed {
								inserts[i].Key = workflow.NewRunID().String()
							}
						}
						if _, err := store.InsertAll(b.Context(), inserts[:min(size, b.N-done)]); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}
