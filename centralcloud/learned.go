package centralcloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Learned is all that a node has been taught. It does not change: each lesson
// makes another one. The zero value is of a node that knows nothing.
type Learned struct {
	Policy     *Policy                    // by which to choose models; nil for none
	Patterns   map[string]json.RawMessage // by name
	Savings    Savings
	Benchmarks json.RawMessage

	versions map[lessonKey]int64
}

type lessonKey struct{ kind, name string }

// News returns the lessons that are above what l knows, or have no version.
func (l *Learned) News(lessons []Lesson) []Lesson {
	var news []Lesson
	for _, lesson := range lessons {
		version, known := l.versions[lessonKey{lesson.Type, lesson.Name}]
		if !known || lesson.Version == 0 || lesson.Version > version {
			news = append(news, lesson)
		}
	}
	return news
}

// With returns what is known after the news of some lessons.
func (l *Learned) With(lessons []Lesson) (*Learned, error) {
	next := *l
	next.Patterns, next.versions = maps.Clone(l.Patterns), maps.Clone(l.versions)
	if next.versions == nil {
		next.Patterns, next.versions = map[string]json.RawMessage{}, map[lessonKey]int64{}
	}
	for _, lesson := range lessons {
		if len(next.News([]Lesson{lesson})) == 0 {
			continue
		}
		if err := next.learn(lesson); err != nil {
			return l, fmt.Errorf("learn %s %s: %w", lesson.Type, lesson.Name, err)
		}
		key := lessonKey{lesson.Type, lesson.Name}
		next.versions[key] = max(next.versions[key], lesson.Version)
	}
	return &next, nil
}

func (l *Learned) learn(lesson Lesson) (err error) {
	switch lesson.Type {
	case TypeModelRouting:
		if l.Policy, err = readPolicy(lesson.Document); err == nil {
			l.Policy.Received = time.Now()
		}
	case TypePatternDiscovery:
		if lesson.Withdrawn() {
			delete(l.Patterns, lesson.Name)
			return nil
		}
		l.Patterns[lesson.Name] = lesson.Document
	case TypeCostOptimization:
		l.Savings = Savings{}
		err = json.Unmarshal(lesson.Document, &l.Savings)
	case TypePerformanceBenchmark:
		l.Benchmarks = lesson.Document
	}
	return err
}

// Withdrawn reports whether the lesson takes back earlier ones.
func (l Lesson) Withdrawn() bool {
	return l.Document == nil || bytes.Equal(bytes.TrimSpace(l.Document), []byte("null"))
}

// Versions are the highest that are known of each type, and of policies that of the
// one in force: somebody may have put one in its place by hand, on which nothing
// that the hub changes can rest.
func (l *Learned) Versions() map[string]int64 {
	highest := map[string]int64{}
	for key, version := range l.versions {
		highest[key.kind] = max(highest[key.kind], version)
	}
	if l.Policy != nil {
		highest[TypeModelRouting] = l.Policy.Version
	}
	return highest
}
