package pgmq_test

import (
	"testing"

	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

func TestMain(m *testing.M) { testpostgres.Main(m, pgmq.MigrateUp) }
