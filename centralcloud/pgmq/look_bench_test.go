package pgmq_test

import (
	"testing"

	"singularity/centralcloud/hubtest"
	"singularity/internal/testpostgres"
)

func BenchmarkLook(b *testing.B) { hubtest.BenchmarkLook(b, open(b, testpostgres.URL(b))) }
