package postgres_test

import (
	"testing"

	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
)

func TestMain(m *testing.M) { testpostgres.Main(m, postgres.MigrateUp) }
