package patterns

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

const (
	// restated is how old a finding is told again that has only other numbers.
	restated = time.Hour
	// sameValue is by how much a value may differ, as a share of it, that is as
	// good as the same.
	sameValue = 0.2
)

// Changes returns what is to be taught, given what has been: findings that are
// new, withdrawn or not what they were, and new benchmarks. Each has a version
// above all that were taught of its type.
func Changes(taught []centralcloud.Lesson, found []Finding, benchmarks Benchmarks, now time.Time) ([]centralcloud.Lesson, error) {
	versions, known := map[string]int64{}, map[string]Finding{}
	var compared centralcloud.Lesson
	for _, lesson := range taught {
		versions[lesson.Type] = max(versions[lesson.Type], lesson.Version)
		switch {
		case lesson.Type == centralcloud.TypePerformanceBenchmark:
			compared = lesson
		case lesson.Type == centralcloud.TypePatternDiscovery && !lesson.Withdrawn():
			finding, err := Decode(lesson.Document)
			if err != nil {
				return nil, err
			}
			known[lesson.Name] = finding
		}
	}
	var changes []centralcloud.Lesson
	teach := func(kind, name string, document any) error {
		encoded, err := json.Marshal(document)
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", kind, name, err)
		}
		versions[kind]++
		changes = append(changes, centralcloud.Lesson{Type: kind, Name: name, Version: versions[kind], Document: encoded})
		return nil
	}

	for _, finding := range found {
		before, there := known[finding.Name]
		delete(known, finding.Name)
		if there {
			finding.FirstSeen = before.FirstSeen
			if finding.sameAs(before, now) {
				continue
			}
		}
		if err := teach(centralcloud.TypePatternDiscovery, finding.Name, finding); err != nil {
			return nil, err
		}
	}
	for _, lesson := range taught { // those of them that hold no more
		if _, gone := known[lesson.Name]; gone {
			if err := teach(centralcloud.TypePatternDiscovery, lesson.Name, nil); err != nil {
				return nil, err
			}
		}
	}
	if news, err := benchmarks.differ(compared); err != nil || !news {
		return changes, err
	}
	err := teach(centralcloud.TypePerformanceBenchmark, "", benchmarks)
	return changes, err
}

// sameAs reports that a finding is about what it was before.
func (f Finding) sameAs(before Finding, now time.Time) bool {
	return f.Rule == before.Rule && (f.TTLSeconds == 0) == (before.TTLSeconds == 0) && now.Sub(before.MadeAt) < restated &&
		math.Abs(f.Value-before.Value) <= sameValue*math.Abs(before.Value)
}

// differ reports whether the benchmarks are others than those that were taught.
func (b Benchmarks) differ(taught centralcloud.Lesson) (bool, error) {
	if taught.Document == nil {
		return len(b.Models) > 0, nil
	}
	before, err := DecodeBenchmarks(taught.Document)
	if err != nil {
		return false, err
	}
	before.MadeAt = b.MadeAt
	now, err := json.Marshal(b)
	if err != nil {
		return false, fmt.Errorf("encode benchmarks: %w", err)
	}
	then, err := json.Marshal(before)
	return !slices.Equal(now, then), err
}

// Decode reads the definition of a pattern that is a finding.
func Decode(document []byte) (Finding, error) {
	var finding Finding
	if err := json.Unmarshal(document, &finding); err != nil {
		return finding, fmt.Errorf("decode a finding: %w", err)
	}
	return finding, nil
}

// DecodeBenchmarks reads what a lesson of benchmarks has.
func DecodeBenchmarks(document []byte) (Benchmarks, error) {
	var benchmarks Benchmarks
	if err := json.Unmarshal(document, &benchmarks); err != nil {
		return benchmarks, fmt.Errorf("decode benchmarks: %w", err)
	}
	return benchmarks, nil
}

// Holding returns the findings among lessons that have not been withdrawn, by
// name.
func Holding(lessons []centralcloud.Lesson) ([]Finding, error) {
	holding := []Finding{}
	for _, lesson := range lessons {
		if lesson.Type != centralcloud.TypePatternDiscovery || lesson.Withdrawn() {
			continue
		}
		finding, err := Decode(lesson.Document)
		if err != nil {
			return nil, err
		}
		holding = append(holding, finding)
	}
	slices.SortFunc(holding, func(a, b Finding) int { return strings.Compare(a.Name, b.Name) })
	return holding, nil
}
