package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
)

// The history keeps who made each entry. What has none is the run's end, while
// it stands, or its last release.
var landedEntries = &statement{"landed_entries", `
SELECT w.n
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[]) WITH ORDINALITY AS w (run_id, seq, boot, epoch, n)
WHERE ` + entered}

var landedBare = &statement{"landed_bare", `
SELECT w.n
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY AS w (run_id, seq, boot, epoch, state, n)
WHERE (
		SELECT true
		FROM singularity.workflow_runs AS run
		WHERE run.id = w.run_id AND (
			run.seq = w.seq AND run.owner = w.boot AND run.epoch = w.epoch AND run.state = w.state
			OR run.released_seq = w.seq AND run.released_by = w.boot AND run.released_epoch = w.epoch
		)
	)`}

// queueLanded looks whether the writes that the fence refused were refused
// because they had landed before.
func (c *commit) queueLanded() error {
	var entries, bare []placed[persistence.Advance]
	for _, w := range c.advances {
		switch {
		case c.verdicts[w.place].Err == nil:
		case w.write.Entry != nil:
			entries = append(entries, w)
		default:
			bare = append(bare, w)
		}
	}
	if len(entries) > 0 {
		c.queue(landedEntries, landedParams(entries).params(), c.recognise(entries))
	}
	if len(bare) > 0 {
		states := newArrays(len(bare), pgtype.TextOID)
		for _, w := range bare {
			states.text(string(w.write.State))
		}
		c.queue(landedBare, append(landedParams(bare).params(), states.params()...), c.recognise(bare))
	}
	return nil
}

func landedParams(advances []placed[persistence.Advance]) *arrays {
	list := newArrays(len(advances), pgtype.UUIDOID, pgtype.Int8OID, pgtype.TextOID, pgtype.Int8OID)
	for _, w := range advances {
		list.uuid(w.write.Run)
		list.int8(w.write.Seq + 1)
		list.text(string(w.write.Boot))
		list.int8(w.write.Epoch)
	}
	return list
}

// recognise reads the numbers of writes that landed before.
func (c *commit) recognise(advances []placed[persistence.Advance]) func(scanner) error {
	return func(row scanner) error {
		var n int64
		err := row.Scan(&n)
		if err == nil {
			c.verdicts[advances[n-1].place].Err = nil
		}
		return err
	}
}
