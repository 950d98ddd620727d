package hub

import (
	"context"
	"errors"
	"slices"

	"singularity/centralcloud"
)

// teach stores what has changed, and tells all who listen.
func (t *tenure) teach(ctx context.Context, changes []centralcloud.Lesson) error {
	var lessons []centralcloud.Lesson
	var messages []centralcloud.Draft
	for _, lesson := range changes {
		message, err := centralcloud.TeachLesson(lesson, t.lead.At).Encode()
		if err == nil {
			err = message.Check()
		}
		if err != nil {
			t.Logger.ErrorContext(ctx, "a pattern cannot be published", "type", lesson.Type, "name", lesson.Name, "error", err)
			continue
		}
		lessons, messages = append(lessons, lesson), append(messages, message)
	}
	if len(lessons) == 0 {
		return nil
	}
	queues := t.listening()
	if err := t.Store.Teach(ctx, t.lead, lessons, messages, queues); err != nil {
		return err
	}
	for _, lesson := range lessons {
		if lesson.Type == centralcloud.TypePatternDiscovery {
			t.Logger.InfoContext(ctx, "a pattern was found, or holds no more", "pattern", lesson.Name, "holds", !lesson.Withdrawn(), "version", lesson.Version)
		}
	}
	t.Logger.DebugContext(ctx, "taught patterns and benchmarks", "count", len(lessons), "instances", len(queues))
	t.remember(lessons)
	return nil
}

// remember puts lessons in the place of those of the same type and name.
func (t *tenure) remember(lessons []centralcloud.Lesson) {
	for _, lesson := range lessons {
		same := func(l centralcloud.Lesson) bool { return l.Type == lesson.Type && l.Name == lesson.Name }
		if i := slices.IndexFunc(t.lessons, same); i >= 0 {
			t.lessons[i] = lesson
		} else {
			t.lessons = append(t.lessons, lesson)
		}
	}
}

// unheard is what somebody has not heard who knows these versions.
func (t *tenure) unheard(versions map[string]int64) ([]centralcloud.Learning, error) {
	var news []centralcloud.Learning
	if t.policy != nil && t.policy.Version > versions[centralcloud.TypeModelRouting] {
		routing, err := centralcloud.TeachPolicy(t.policy, nil)
		if err != nil {
			return nil, err
		}
		news = append(news, routing...)
	}
	for _, lesson := range t.lessons {
		if lesson.Version > versions[lesson.Type] {
			news = append(news, centralcloud.TeachLesson(lesson, t.lead.At))
		}
	}
	return news, nil
}

// catchUp sends to a queue what its reader does not know. It may be sent twice: a
// node ignores what it knows.
func (t *tenure) catchUp(ctx context.Context, queue string, versions map[string]int64) error {
	news, err := t.unheard(versions)
	if err != nil {
		return err
	}
	snapshots, err := centralcloud.EncodeSnapshots(t.lead.At, news...)
	if err != nil {
		return err
	}
	for _, snapshot := range snapshots {
		if _, err := t.Store.Send(ctx, queue, snapshot); err != nil && !errors.Is(err, centralcloud.ErrNoQueue) {
			return err
		}
	}
	return nil
}
