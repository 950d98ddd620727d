package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/persistence"
)

// A record bears a time from before its commit, which may be long: whoever counted
// meanwhile reads it the next time.
func TestRecordThatIsCommittedLateIsReadWithItsEpoch(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{URL: testpostgres.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	boot := persistence.Boot{ID: "b", Instance: "a"}
	if err := store.Join(t.Context(), boot); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), store.cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const insert = `
INSERT INTO singularity.step_records (run_id, seq, number, kind, doc, owner, recorded_at, stored_at)
VALUES (gen_random_uuid(), 1, 0, '` + persistence.CountedKind + `', '{}', 'b', now(), clock_timestamp())`
	read := func() (records []persistence.Record, stretch persistence.Stretch) {
		stretch, err := store.ReadRecords(t.Context(), boot.ID, time.Time{}, func(record persistence.Record) error {
			records = append(records, record)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return records, stretch
	}

	if _, err := conn.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	late, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	records, stretch := read()
	if len(records) != 1 {
		t.Fatalf("%d records, want the one that is committed", len(records))
	}
	if err := store.NoteCounted(t.Context(), boot.ID, stretch.Settled, false); err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if records, _ := read(); len(records) != 2 {
		t.Errorf("%d records after the late one is committed, want both", len(records))
	}
}
