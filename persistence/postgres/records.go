package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
)

// A record comes with an entry of the same owner and epoch. It is there
// already, as of then, when the write landed before.
var insertRecords = &statement{"insert_records", `
INSERT INTO singularity.step_records (run_id, seq, number, kind, doc, owner, recorded_at, stored_at)
SELECT w.run_id, w.seq, w.number, w.kind, w.doc, w.boot, w.recorded_at, clock_timestamp()
FROM unnest(
	$1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::timestamptz[]
) AS w (run_id, seq, boot, epoch, number, kind, doc, recorded_at)
WHERE ` + entered + `
ON CONFLICT DO NOTHING`}

// entered tells whether the history has the entry of w, with which more comes.
const entered = `(
		SELECT true
		FROM singularity.step_checkpoints AS entry
		WHERE entry.run_id = w.run_id AND entry.seq = w.seq AND entry.owner = w.boot AND entry.epoch = w.epoch
	)`

func (c *commit) queueRecords() error {
	if !slices.ContainsFunc(c.advances, hasFacts) {
		return nil
	}
	list := newArrays(len(c.advances), pgtype.UUIDOID, pgtype.Int8OID, pgtype.TextOID, pgtype.Int8OID,
		pgtype.Int4OID, pgtype.TextOID, pgtype.TextOID, pgtype.TimestamptzOID)
	for _, advance := range c.advances {
		if !hasFacts(advance) {
			continue
		}
		w := advance.write
		for i, fact := range w.Entry.Facts {
			list.uuid(w.Run)
			list.int8(w.Seq + 1)
			list.text(string(w.Boot))
			list.int8(w.Epoch)
			list.int4(i)
			list.text(fact.Kind)
			list.text(string(fact.Doc))
			list.time(fact.At)
		}
	}
	c.queue(insertRecords, list.params(), nil)
	return list.err
}

func hasFacts(w placed[persistence.Advance]) bool {
	return w.write.Entry != nil && len(w.write.Entry.Facts) > 0
}
