package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"singularity/persistence"
)

// ReadRecords implements [persistence.Records].
func (s *Store) ReadRecords(ctx context.Context, boot persistence.BootID, from time.Time, each func(persistence.Record) error) (persistence.Stretch, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Stretch{}, err
	}
	at := now()
	if m := s.boots[boot]; from.IsZero() && m != nil {
		from = m.countedUntil
	}
	if oldest := at.Add(-persistence.MaxRecordAge); from.Before(oldest) {
		from = oldest
	}
	records := s.counted(boot)
	s.mu.Unlock()
	first := slices.IndexFunc(records, func(r persistence.Record) bool { return !r.StoredAt.Before(from) })
	if first < 0 {
		return persistence.StretchTo(at), nil
	}
	stretch, begin := persistence.StretchFrom(records[first].StoredAt, at)
	for _, record := range records {
		if record.StoredAt.Before(begin) || stretch.More && !record.StoredAt.Before(stretch.Until) {
			continue
		}
		if err := each(record); err != nil {
			return persistence.Stretch{}, err
		}
	}
	return stretch, nil
}

// counted are the counted records of a boot, in their order.
func (s *Store) counted(boot persistence.BootID) []persistence.Record {
	var records []persistence.Record
	for id, r := range s.runs {
		for _, line := range r.history {
			if line.boot == boot {
				records = append(records, line.records(id)...)
			}
		}
	}
	slices.SortFunc(records, func(a, b persistence.Record) int {
		return cmp.Or(a.StoredAt.Compare(b.StoredAt), bytes.Compare(a.Run[:], b.Run[:]), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Number, b.Number))
	})
	return records
}

// NoteCounted implements [persistence.Records].
func (s *Store) NoteCounted(ctx context.Context, boot persistence.BootID, until time.Time, last bool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	m := s.boots[boot]
	if m == nil {
		return nil
	}
	if until = stored(until); until.After(m.countedUntil) {
		m.countedUntil = until
	}
	m.counted = m.counted || last && !s.owns(boot)
	return nil
}

// Uncounted implements [persistence.Records].
func (s *Store) Uncounted(ctx context.Context) ([]persistence.UncountedBoot, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var ended []*member
	for id, m := range s.boots {
		if !m.alive && !m.counted && !s.owns(id) {
			ended = append(ended, m)
		}
	}
	slices.SortFunc(ended, func(a, b *member) int {
		return cmp.Or(a.endedAt.Compare(b.endedAt), strings.Compare(string(a.ID), string(b.ID)))
	})
	var boots []persistence.UncountedBoot
	for _, m := range ended {
		boots = append(boots, persistence.UncountedBoot{Boot: m.ID, Instance: m.Instance})
	}
	return boots, nil
}

// owns reports whether a boot runs anything.
func (s *Store) owns(boot persistence.BootID) bool {
	for _, r := range s.running {
		if r.boot == boot {
			return true
		}
	}
	return false
}
