package migrations_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"singularity/migrations"
)

func TestReadTellsTheWayUpFromTheWayDown(t *testing.T) {
	t.Parallel()
	steps, err := migrations.Read(fstest.MapFS{
		"002_b.sql": {Data: []byte("-- B is late.\n\n-- +goose Up\nB;\n-- +goose Down\nNOT B;\n")},
		"001_a.sql": {Data: []byte("-- +goose Up\nA;\n-- +goose Down\nNOT A;\n")},
	})
	if err != nil || len(steps) != 2 {
		t.Fatalf("%+v, %v; want two steps", steps, err)
	}
	if want := (migrations.Step{Number: 1, Name: "a", Up: "A;", Down: "NOT A;"}); steps[0] != want {
		t.Errorf("step %+v, want %+v", steps[0], want)
	}
	if want := (migrations.Step{Number: 2, Name: "b", Up: "B;", Down: "NOT B;"}); steps[1] != want {
		t.Errorf("step %+v, want %+v", steps[1], want)
	}
}

func TestReadRefusesStepsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"a.sql": "-- +goose Up\n-- +goose Down\n", "001_a.sql": "-- +goose Up\n", "002_b.sql": "-- +goose Down\n-- +goose Up\n"} {
		if steps, err := migrations.Read(fstest.MapFS{name: {Data: []byte(text)}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %+v, %v; want an error that names it", name, steps, err)
		}
	}
}

func TestEverySetIsWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func() []migrations.Step{
		"postgres": migrations.Postgres, "sqlite": migrations.SQLite,
		"hub in postgres": migrations.CentralCloudPostgres, "hub in sqlite": migrations.CentralCloudSQLite,
	} {
		steps := set()
		if last := migrations.Newest(steps); last != int64(len(steps)) {
			t.Errorf("%s: %d steps up to number %d", name, len(steps), last)
		}
		for i, step := range steps {
			if step.Number != int64(i+1) || !regexp.MustCompile(`^[a-z_]+$`).MatchString(step.Name) {
				t.Errorf("%s: step %d, %q at place %d", name, step.Number, step.Name, i+1)
			}
		}
	}
}
