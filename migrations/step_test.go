package migrations_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"singularity/migrations"
)

func TestReadTellsTheWayUpFromTheWayDown(t *testing.T) {
	t.Parallel()
	steps, err := migrations.Read(fstest.MapFS{
		"002_b.sql": {Data: []byte("-- +goose Up\nB;\n-- +goose Down\nNOT B;\n")},
		"001_a.sql": {Data: []byte("-- +goose Up\nA;\n-- +goose Down\nNOT A;\n")},
	})
	if err != nil || len(steps) != 2 {
		t.Fatalf("%+v, %v; want two steps", steps, err)
	}
	if want := (migrations.Step{Number: 1, Name: "a", Up: "-- +goose Up\nA;\n", Down: "NOT A;\n"}); steps[0] != want {
		t.Errorf("step %+v, want %+v", steps[0], want)
	}
	if steps[1].Number != 2 || steps[1].Name != "b" {
		t.Errorf("step %+v, want 2, b", steps[1])
	}
}

func TestReadRefusesStepsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"a.sql": "-- +goose Up\n-- +goose Down\n", "001_a.sql": "-- +goose Up\n"} {
		if steps, err := migrations.Read(fstest.MapFS{name: {Data: []byte(text)}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %+v, %v; want an error that names it", name, steps, err)
		}
	}
}
