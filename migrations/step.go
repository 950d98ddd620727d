package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Step is one migration, read from a file such as 001_runs.sql.
type Step struct {
	Number   int64
	Name     string
	Up, Down string // statements; what stands above the way up is about the file
}

// Read returns the steps of a folder, in order. Databases tell the statements
// of a step apart themselves.
func Read(folder fs.FS) ([]Step, error) {
	files, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return nil, err
	}
	steps := make([]Step, len(files))
	for i, file := range files {
		if steps[i], err = readStep(folder, file); err != nil {
			return nil, fmt.Errorf("migration %s: %w", file, err)
		}
	}
	return steps, nil
}

func readStep(folder fs.FS, file string) (Step, error) {
	text, err := fs.ReadFile(folder, file)
	if err != nil {
		return Step{}, err
	}
	digits, name, _ := strings.Cut(strings.TrimSuffix(file, ".sql"), "_")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return Step{}, fmt.Errorf("its name has no number: %w", err)
	}
	_, ways, upFound := strings.Cut(string(text), "-- +goose Up\n")
	up, down, downFound := strings.Cut(ways, "-- +goose Down\n")
	if !upFound || !downFound {
		return Step{}, errors.New("it lacks a way; expected a line -- +goose Up, and below it a line -- +goose Down")
	}
	return Step{Number: number, Name: name, Up: strings.TrimSpace(up), Down: strings.TrimSpace(down)}, nil
}
