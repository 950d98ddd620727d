package sqlite_test

import (
	"testing"

	"singularity/centralcloud/hubtest"
)

func BenchmarkLook(b *testing.B) { hubtest.BenchmarkLook(b, open(b, b.TempDir())) }
