package postgres_test

import (
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/persistence/storetest"
)

// The clock of a database need not be that of the nodes.
func TestStoreOnADatabaseThatIsAnHourAhead(t *testing.T) {
	t.Parallel()
	server := testpostgres.Start(t, testpostgres.Config{Ahead: time.Hour})
	if _, err := postgres.MigrateUp(t.Context(), server.URL(testpostgres.Database)); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, storetest.Config{
		Open: func(t testing.TB) persistence.Store {
			return openAt(t, postgres.Config{URL: testpostgres.Copy(t, server.URL(testpostgres.Database)), LeaseTerm: longTerm})
		},
		Ahead:     time.Hour,
		Declare:   declare,
		JobResult: jobResult,
	})
}
