package hub

import (
	"context"
	"errors"
	"slices"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// mostSamples is how many samples are looked at for patterns.
const mostSamples = 20_000

// mayFind reports whether it is time to look for patterns. Where there were no
// calls since, what was found stays as it is until its evidence is too old.
func (t *tenure) mayFind() bool {
	since := t.lead.At.Sub(t.found)
	return t.unseen && since >= t.PatternsEvery || since >= patterns.Window
}

// find looks for patterns, and teaches what has changed. It begins with a whole
// term, of which reading may take half.
func (t *tenure) find(ctx context.Context) error {
	if !t.mayFind() {
		return nil
	}
	if err := t.prolong(ctx); err != nil {
		return err
	}
	now := t.lead.At
	t.found = now
	reading, cancel := context.WithTimeout(ctx, t.term()/2)
	defer cancel()
	evidence, err := t.evidence(reading)
	if reading.Err() != nil && ctx.Err() == nil {
		t.unseen = true
		t.Logger.WarnContext(ctx, "reading what nodes reported takes too long to look for patterns", "limit", t.term()/2, "again_in", t.PatternsEvery)
		return nil
	}
	if err != nil {
		return err
	}
	t.unseen = false
	changes, err := patterns.Changes(t.lessons, patterns.Find(evidence, now), patterns.Compare(evidence, now), now)
	if err != nil {
		return err
	}
	if t.policy != nil {
		saved, err := patterns.SavingsChange(t.lessons, patterns.Save(evidence, t.policy, now))
		if err != nil {
			return err
		}
		changes = append(changes, saved...)
	}
	return t.teach(ctx, changes)
}

// evidence is what instances reported lately, but for those whose calls fare
// unlike all others'.
func (t *tenure) evidence(ctx context.Context) (*patterns.Evidence, error) {
	since := t.lead.At.Add(-patterns.Window)
	suspects, left := map[string]bool{}, map[string]bool{}
	if t.policy != nil {
		for _, suspect := range t.policy.Quarantined {
			suspects[suspect.Instance] = true
		}
	}
	evidence := &patterns.Evidence{}
	err := t.Store.RowsSince(ctx, since, func(row centralcloud.Row) error {
		if suspects[row.Instance] {
			left[row.Boot] = true
		} else {
			evidence.AddRow(row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = t.Store.SamplesSince(ctx, since, mostSamples, func(sample centralcloud.Sample) error {
		if !left[sample.Boot] {
			evidence.AddSample(sample)
		}
		return nil
	})
	return evidence, err
}

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
