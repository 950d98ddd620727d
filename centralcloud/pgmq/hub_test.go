package pgmq_test

import (
	"testing"

	"singularity/centralcloud/hub"
	"singularity/centralcloud/hubtest"
	"singularity/internal/testpostgres"
)

func TestHubKeepsToTheSuite(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, func(t testing.TB) hub.Store { return open(t, testpostgres.URL(t)) })
}
