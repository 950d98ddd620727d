package centralcloud

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Assembly puts policies together that come in parts, or as changes of an earlier
// one. It keeps the parts of one version, and is lost with the process: who asks the
// hub for what is missing gets the whole policy. The zero value has no parts.
type Assembly struct {
	version int64
	parts   []*rules // nil for those that are missing
}

// Complete returns the lessons that can be learnt, with each policy that the parts
// among them make whole. It reports a gap when there is something on top of a
// policy that is not the one in force: the one before it was lost.
func (a *Assembly) Complete(inForce *Policy, lessons []Lesson) (complete []Lesson, gap bool, err error) {
	for _, lesson := range lessons {
		if lesson.part == nil {
			complete = append(complete, lesson)
			continue
		}
		if base := lesson.part.Base; base != nil && !base.is(inForce) {
			gap = true
			continue
		}
		if !a.keep(lesson.part) {
			continue
		}
		whole, err := a.whole(inForce)
		if err != nil {
			return nil, false, err
		}
		complete = append(complete, whole)
	}
	return complete, gap, nil
}

// keep keeps a part, and reports whether none is missing now. Parts of a newer
// version take the place of those of an older one.
func (a *Assembly) keep(part *rules) (complete bool) {
	if part.Version < a.version {
		return false
	}
	if part.Version > a.version || part.Parts != len(a.parts) || slices.ContainsFunc(a.parts, part.differs) {
		a.version, a.parts = part.Version, make([]*rules, part.Parts)
	}
	a.parts[part.Part-1] = part
	return !slices.Contains(a.parts, nil)
}

// differs reports that two parts are not of the same whole: a version may come as
// changes first and then, after a gap, as all rows.
func (r *rules) differs(other *rules) bool {
	return other != nil && (other.Base == nil) != (r.Base == nil)
}

// whole is the lesson that all parts together teach.
func (a *Assembly) whole(inForce *Policy) (Lesson, error) {
	rows := map[Cell]PolicyRow{}
	if a.parts[0].Base != nil {
		for _, row := range inForce.Rows {
			rows[row.Cell()] = row
		}
	}
	for _, part := range a.parts {
		policy, err := part.unpack()
		if err != nil {
			return Lesson{}, err
		}
		for _, row := range policy.Rows {
			rows[row.Cell()] = row
		}
		for _, gone := range part.Gone {
			delete(rows, gone)
		}
	}
	list := make([]*PolicyRow, 0, len(rows))
	for _, row := range rows {
		list = append(list, &row)
	}
	slices.SortFunc(list, func(a, b *PolicyRow) int { return a.Cell().compare(b.Cell()) })
	return a.parts[0].teach(list)
}

// teach returns a lesson with the head of these rules, and rows in one part however
// many they are: it does not travel any more.
func (r *rules) teach(rows []*PolicyRow) (Lesson, error) {
	whole := *r
	whole.Base, whole.Part, whole.Parts, whole.Models, whole.Reasons, whole.Rows, whole.Gone = nil, 1, 1, nil, nil, nil, nil
	p := &rulesPacker{head: whole}
	p.begin()
	for _, row := range rows {
		if err := p.add(row); err != nil {
			return Lesson{}, fmt.Errorf("put policy %d together: %w", r.Version, err)
		}
	}
	document, err := json.Marshal(p.part())
	if err != nil {
		return Lesson{}, fmt.Errorf("put policy %d together: %w", r.Version, err)
	}
	return Lesson{Type: TypeModelRouting, Version: r.Version, Document: document}, nil
}
