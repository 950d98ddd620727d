package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contender/scratch"
)

func TestTemporalFinishesWorkflows(t *testing.T) {
	t.Parallel()
	server, err := scratch.Start(t.Context(), scratch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	read, write := io.Pipe()
	served := make(chan error, 1)
	go func() {
		job := contender.Job{DatabaseURL: server.URL("postgres"), StateBytes: 150, MaxInFlight: 8}
		order := `{"in_flight": 8, "duration": 200000000, "timeout": 60000000000}`
		err := contender.Serve(t.Context(), &cluster{}, job, strings.NewReader(order), write)
		served <- errors.Join(err, write.CloseWithError(err))
	}()
	var description contender.Description
	var answer contender.Answer
	answers := json.NewDecoder(read)
	if err := errors.Join(answers.Decode(&description), answers.Decode(&answer)); err != nil {
		t.Fatal(err)
	}
	if description.Version == "" || answer.Error != "" || len(answer.Took) < 8 {
		t.Errorf("%+v: %d workflows, error %q; want at least 8", description, len(answer.Took), answer.Error)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	tables, err := exec.CommandContext(t.Context(), "psql", "-X", "-t", "-A", "-c", `SELECT count(*) FROM visibility.executions_visibility`, server.URL("postgres")).Output()
	if err != nil || strings.TrimSpace(string(tables)) == "0" {
		t.Errorf("%s workflows are listed, %v; their cost is not in the measured database", tables, err)
	}
}
