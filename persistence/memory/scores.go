package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// rescored is how often the scores of a fact changed, and whether it is to be
// counted again.
type rescored struct {
	times   int64
	recount bool
}

// records are the counted records of a line of a run's history.
func (l *line) records(run workflow.RunID) []persistence.Record {
	var records []persistence.Record
	for number, fact := range l.Facts {
		if fact.Kind == persistence.CountedKind {
			records = append(records, persistence.Record{
				RecordID: persistence.RecordID{Run: run, Seq: l.Seq, Number: number},
				Doc:      bytes.Clone(fact.Doc), StoredAt: l.storedAt, Scores: fact.Scores, Rescored: l.rescored[number].times,
			})
		}
	}
	return records
}

// RecordsOf implements [persistence.Scores].
func (s *Store) RecordsOf(ctx context.Context, run workflow.RunID) ([]persistence.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	r, err := s.find(run)
	if err != nil {
		return nil, err
	}
	var records []persistence.Record
	for i := range r.history {
		records = append(records, r.history[i].records(run)...)
	}
	return records, nil
}

// Score implements [persistence.Scores].
func (s *Store) Score(ctx context.Context, id persistence.RecordID, score workflow.Score) (map[string]float64, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	l := s.line(id)
	if l == nil {
		return nil, fmt.Errorf("score run %s: %w", id.Run, workflow.ErrRunNotFound)
	}
	fact := &l.Facts[id.Number]
	scores, news, err := score.AddTo(fact.Scores)
	if err != nil {
		return nil, fmt.Errorf("score run %s: %w", id.Run, err)
	}
	if news {
		fact.Scores = scores
		if l.rescored == nil {
			l.rescored = map[int]rescored{}
		}
		l.rescored[id.Number] = rescored{l.rescored[id.Number].times + 1, true}
	}
	return scores, nil
}

// line finds the line of a run's history that has a record; nil for none.
func (s *Store) line(id persistence.RecordID) *line {
	r := s.runs[id.Run]
	if r == nil {
		return nil
	}
	for i := range r.history {
		l := &r.history[i]
		if l.Seq == id.Seq && id.Number < len(l.Facts) && l.Facts[id.Number].Kind == persistence.CountedKind {
			return l
		}
	}
	return nil
}

// Rescored implements [persistence.Scores].
func (s *Store) Rescored(ctx context.Context) ([]persistence.RescoredEpoch, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	oldest := now().Add(persistence.RecordEpoch - persistence.MaxRecordAge)
	found := map[persistence.RescoredEpoch]bool{}
	for _, r := range s.runs {
		for _, l := range r.history {
			m := s.boots[l.boot]
			for _, of := range l.rescored {
				if of.recount && m != nil && !l.storedAt.Before(oldest) {
					found[persistence.RescoredEpoch{
						UncountedBoot: persistence.UncountedBoot{Boot: m.ID, Instance: m.Instance},
						Epoch:         l.storedAt.Truncate(persistence.RecordEpoch),
					}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b persistence.RescoredEpoch) int {
		return cmp.Or(a.Epoch.Compare(b.Epoch), strings.Compare(string(a.Boot), string(b.Boot)))
	}), nil
}

// ReadEpoch implements [persistence.Scores].
func (s *Store) ReadEpoch(ctx context.Context, boot persistence.BootID, epoch time.Time, each func(persistence.Record) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	records := s.counted(boot)
	s.mu.Unlock()
	for _, record := range records {
		if !record.StoredAt.Truncate(persistence.RecordEpoch).Equal(epoch) {
			continue
		}
		if err := each(record); err != nil {
			return err
		}
	}
	return nil
}

// NoteRescored implements [persistence.Scores].
func (s *Store) NoteRescored(ctx context.Context, records []persistence.Record) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, record := range records {
		if l := s.line(record.RecordID); l != nil && record.Rescored > 0 && l.rescored[record.Number].times == record.Rescored {
			l.rescored[record.Number] = rescored{times: record.Rescored}
		}
	}
	return nil
}
