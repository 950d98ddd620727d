package storetest_test

import (
	"context"
	"testing"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/persistence/storetest"
	"singularity/workflow"
)

func memoryConfig() storetest.Config {
	return storetest.Config{
		Open: func(testing.TB) persistence.Store { return memory.New() },
		JobResult: func(_ context.Context, store persistence.Store, run workflow.RunID) (storetest.JobResult, bool, error) {
			result, found := store.(*memory.Store).JobResult(run)
			return storetest.JobResult(result), found, nil
		},
	}
}
