package queues_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/benchmarks/contender/scratch"
	"singularity/benchmarks/queues"
)

func TestEachEngineIsMeasured(t *testing.T) {
	t.Parallel()
	server, err := scratch.Start(t.Context(), scratch.Config{Settings: map[string]string{"max_connections": "200"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range queues.Names() {
		database := "queues_" + strings.ReplaceAll(name, "-", "_")
		create(t, server, database)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine, err := queues.New(name)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := queues.Measure(t.Context(), engine, queues.Order{
				DatabaseURL: server.URL(database), Workers: 8, Jobs: 40, Duration: 3 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			if answer.Version == "" || answer.Settings == "" || answer.EnqueuePerSecond <= 0 || answer.DrainPerSecond <= 0 {
				t.Errorf("implausible answer %+v", answer)
			}
			if len(answer.Starts) == 0 || len(answer.Gaps) == 0 || answer.Starts[0] <= 0 || answer.Gaps[0] <= 0 {
				t.Errorf("started after %v, gaps of %v; want some of both", answer.Starts, answer.Gaps)
			}
		})
	}
}

func create(t *testing.T, server *scratch.Server, database string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = connection.Exec(t.Context(), "CREATE DATABASE "+database)
	if err := errors.Join(err, connection.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestNewNamesTheEnginesThatThereAre(t *testing.T) {
	t.Parallel()
	if _, err := queues.New("nobody"); err == nil || !strings.Contains(err.Error(), "river-tuned") {
		t.Errorf("error %v", err)
	}
}
