package contenders_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contender/scratch"
	"singularity/benchmarks/contenders"
)

const pgflowSQL = "../pgflow/node_modules/@pgflow/core/dist/supabase/migrations"

func TestEachContenderFinishesWorkflows(t *testing.T) {
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
	for i, name := range contenders.Names() {
		database := "bench_" + string(rune('a'+i))
		create(t, server, database)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runSome(t, name, server.URL(database))
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

// runSome runs a contender as its process does, with two orders.
func runSome(t *testing.T, name, url string) {
	t.Helper()
	c, err := contenders.New(name, contenders.Assets{PgflowSQL: pgflowSQL})
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	served := make(chan error, 1)
	go func() {
		job := contender.Job{DatabaseURL: url, StateBytes: 150, MaxInFlight: 8}
		orders := `{"in_flight": 1, "duration": 200000000, "timeout": 60000000000} {"in_flight": 8, "duration": 200000000, "timeout": 60000000000}`
		err := contender.Serve(t.Context(), c, job, strings.NewReader(orders), write)
		served <- errors.Join(err, write.CloseWithError(err))
	}()
	var description contender.Description
	answers := json.NewDecoder(read)
	if err := answers.Decode(&description); err != nil {
		t.Fatal(err)
	}
	if description.Version == "" || description.Settings == "" {
		t.Errorf("description %+v", description)
	}
	for _, atLeast := range []int{1, 8} {
		var answer contender.Answer
		if err := answers.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if answer.Error != "" || len(answer.Took) < atLeast || answer.Elapsed < time.Millisecond {
			t.Errorf("%d workflows in %v, error %q; want at least %d", len(answer.Took), answer.Elapsed, answer.Error, atLeast)
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestPgflowWithoutItsSQLSaysHowToGetIt(t *testing.T) {
	t.Parallel()
	server, err := scratch.Start(t.Context(), scratch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	c, err := contenders.New("pgflow", contenders.Assets{PgflowSQL: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	job := contender.Job{DatabaseURL: server.URL("postgres"), StateBytes: 150, MaxInFlight: 1}
	if _, err := c.Setup(t.Context(), job); err == nil || !strings.Contains(err.Error(), "npm ci") {
		t.Errorf("error %v, want the command that brings it", err)
	}
}

func TestNewNamesTheContendersThatThereAre(t *testing.T) {
	t.Parallel()
	if _, err := contenders.New("nobody", contenders.Assets{}); err == nil || !strings.Contains(err.Error(), "river-tuned") {
		t.Errorf("error %v", err)
	}
}
